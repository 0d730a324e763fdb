/** The command line of `npm run bench`, parsed once into resolved options. */
import { parseArgs } from 'node:util';
import { type ContenderName, contenderNames } from './contender.ts';

export interface Options {
  readonly only: readonly ContenderName[];
  readonly clients: readonly number[];
  /** Length of one measurement. */
  readonly seconds: number;
  /** Measurements of which the median counts. */
  readonly rounds: number;
  /** Length of the idle part of the cost ledger; 0 leaves it out. */
  readonly idleSeconds: number;
  readonly ledger: boolean;
  /** Numbers of watchers that one put is to reach; empty leaves that part out. */
  readonly watchers: readonly number[];
  /** Where the JSON lines go besides standard output. */
  readonly jsonFile: string | null;
  /** No measurement of a further round begins so late that the run would end after this. */
  readonly budgetSeconds: number;
}

export const usage = `npm run bench -- [options]
  --only quorate,plain,etcd  contenders to measure (default: all that can run here)
  --clients 1,16,64,256      numbers of concurrent clients
  --seconds 2                length of one measurement
  --rounds 3                 measurements of which the median counts
  --idle 60                  seconds of rest in the cost ledger (0: leave it out)
  --no-ledger                throughput only
  --ledger-only              cost ledger only
  --watchers 1,100,1000,10000  watchers that hear of one put (0: leave it out)
  --fan-out-only             only that
  --json FILE                write the JSON lines to a file as well
  --budget 285               seconds after which remaining rounds are left out
  --quick                    --clients 1,64 --seconds 1 --rounds 1 --idle 5 --watchers 1,100
  --help`;

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
        idle: '60',
        watchers: '1,100,1000,10000',
      };
  const only = values['ledger-only'] ? 'quorate' : (values.only ?? contenderNames.join(','));
  return {
    only: only.split(',').map(parseContender),
    clients:
      values['ledger-only'] || values['fan-out-only']
        ? []
        : (values.clients ?? defaults.clients).split(',').map((text) => positive('clients', text)),
    seconds: positive('seconds', values.seconds ?? defaults.seconds),
    rounds: positive('rounds', values.rounds ?? defaults.rounds),
    idleSeconds: wholeNumber('idle', values.idle ?? defaults.idle),
    ledger: !values['no-ledger'] && !values['fan-out-only'],
    watchers: values['ledger-only']
      ? []
      : (values.watchers ?? defaults.watchers)
          .split(',')
          .map((text) => wholeNumber('watchers', text))
          .filter((count) => count > 0),
    jsonFile: values.json ?? null,
    budgetSeconds: positive('budget', values.budget),
  };
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
