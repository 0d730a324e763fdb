/** The command line of `npm run bench`, parsed once into resolved options. */
import { parseArgs } from 'node:util';
import { type ContenderName, contenderNames, formOf } from './contender.ts';

export interface Options {
  readonly only: readonly ContenderName[];
  readonly clients: readonly number[];
  /** Length of one measurement; less where a first round would take more than the budget. */
  readonly seconds: number;
  /** Measurements of which the median counts. */
  readonly rounds: number;
  /** Length of the idle part of the cost ledger; 0 leaves it out. */
  readonly idleSeconds: number;
  readonly ledger: boolean;
  /** Numbers of watchers that one put is to reach; empty leaves that part out. */
  readonly watchers: readonly number[];
  /** Over which the clients of the gRPC rows call; null: one for each client. */
  readonly grpcConnections: number | null;
  /** Where the JSON lines go besides standard output. */
  readonly jsonFile: string | null;
  /** No measurement of a further round begins so late that the run would end after this. */
  readonly budgetSeconds: number;
}

export const usage = `npm run bench -- [options]
  --only quorate,plain,etcd  contenders to measure: also bridge, etcd-grpc, and canned, which shows
                             what the load generator can do (default: all but that one)
  --clients 1,16,64,256      numbers of concurrent clients
  --seconds 2                length of one measurement
  --rounds 3                 measurements of which the median counts
  --idle 30                  seconds of rest in the cost ledger (0: leave it out)
  --no-ledger                throughput only
  --ledger-only              cost ledger only
  --watchers 1,100,1000,10000  watchers that hear of one put (0: leave it out)
  --fan-out-only             only that
  --no-grpc                  without bridge and etcd-grpc
  --grpc-only                throughput of these, of quorate's JSON, and of canned only
  --grpc-connections N       connections that all clients of one share (default: one for each)
  --json FILE                write the JSON lines to a file as well
  --budget 285               seconds after which remaining rounds are left out
  --quick                    --clients 1,64 --seconds 1 --rounds 1 --idle 5 --watchers 1,100
  --help`;

const measuredByDefault = contenderNames.filter((name) => name !== 'canned');

/** Returns null when help was asked for. Throws when something cannot be understood. */
export function parseOptions(args: string[]): Options | null {
  const { values } = parseArgs({
    args,
    options: {
      only: { type: 'string' },
      clients: { type: 'string' },
      seconds: { type: 'string' },
      rounds: { type: 'string' },
      idle: { type: 'string' },
      'no-ledger': { type: 'boolean', default: false },
      'ledger-only': { type: 'boolean', default: false },
      watchers: { type: 'string' },
      'fan-out-only': { type: 'boolean', default: false },
      'no-grpc': { type: 'boolean', default: false },
      'grpc-only': { type: 'boolean', default: false },
      'grpc-connections': { type: 'string' },
      json: { type: 'string' },
      budget: { type: 'string', default: '285' },
      quick: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return null;
  const defaults = values.quick
    ? { clients: '1,64', seconds: '1', rounds: '1', idle: '5', watchers: '1,100' }
    : {
        clients: '1,16,64,256',
        seconds: '2',
        rounds: '3',
        idle: '30',
        watchers: '1,100,1000,10000',
      };
  const connections = values['grpc-connections'];
  const isThroughputOnly = values['no-ledger'] || values['grpc-only'];
  return {
    only: contendersOf(values),
    clients:
      values['ledger-only'] || values['fan-out-only']
        ? []
        : (values.clients ?? defaults.clients).split(',').map((text) => positive('clients', text)),
    seconds: positive('seconds', values.seconds ?? defaults.seconds),
    rounds: positive('rounds', values.rounds ?? defaults.rounds),
    idleSeconds: wholeNumber('idle', values.idle ?? defaults.idle),
    ledger: !isThroughputOnly && !values['fan-out-only'],
    watchers:
      values['ledger-only'] || values['grpc-only']
        ? []
        : (values.watchers ?? defaults.watchers)
            .split(',')
            .map((text) => wholeNumber('watchers', text))
            .filter((count) => count > 0),
    grpcConnections: connections === undefined ? null : positive('grpc-connections', connections),
    jsonFile: values.json ?? null,
    budgetSeconds: positive('budget', values.budget),
  };
}

/** What `--only` names; `--no-grpc` leaves out what speaks gRPC, and so does a part that asks nothing by it. */
function contendersOf(values: {
  only?: string | undefined;
  'ledger-only': boolean;
  'fan-out-only': boolean;
  'no-grpc': boolean;
  'grpc-only': boolean;
}): ContenderName[] {
  if (values['ledger-only']) return ['quorate'];
  if (values['grpc-only']) return ['quorate', 'bridge', 'etcd-grpc', 'canned'];
  const names = values.only?.split(',').map(parseContender) ?? measuredByDefault;
  const isJsonOnly = values['no-grpc'] || values['fan-out-only'];
  return names.filter((name) => !isJsonOnly || formOf[name] === 'json');
}

function parseContender(text: string): ContenderName {
  const name = contenderNames.find((known) => known === text);
  if (name === undefined) throw new Error(`--only: "${text}" is none of ${contenderNames}`);
  return name;
}

function positive(option: string, text: string): number {
  const number = wholeNumber(option, text);
  if (number === 0) throw new Error(`--${option}: must be more than 0`);
  return number;
}

function wholeNumber(option: string, text: string): number {
  if (!/^[0-9]{1,6}$/.test(text)) throw new Error(`--${option}: "${text}" is not a whole number`);
  return Number(text);
}
