/** What a speed is divided by, for each contender: only what was asked in the same form, or the same service's other one. */
import { type ContenderName, formOf } from './contender.ts';

export interface Ratios {
  /** Of what speaks JSON. */
  readonly ratioToPlain: number | null;
  readonly ratioToEtcd: number | null;
  /** Of what speaks gRPC. */
  readonly ratioToEtcdGrpc: number | null;
  /** Of a service by gRPC: to the same service's JSON. */
  readonly ratioToOwnJson: number | null;
}

const jsonOf: Partial<Record<ContenderName, ContenderName>> = {
  bridge: 'quorate',
  'etcd-grpc': 'etcd',
};

/** `speedOf` gives operations a second, null where a contender was not measured. */
export function ratiosOf(
  name: ContenderName,
  speedOf: (name: ContenderName) => number | null,
): Ratios {
  const to = (other: ContenderName) => ratio(speedOf(name), speedOf(other));
  const isJson = formOf[name] === 'json';
  const json = jsonOf[name];
  return {
    ratioToPlain: isJson ? to('plain') : null,
    ratioToEtcd: isJson ? to('etcd') : null,
    ratioToEtcdGrpc: isJson ? null : to('etcd-grpc'),
    ratioToOwnJson: json === undefined ? null : to(json),
  };
}

function ratio(value: number | null, base: number | null): number | null {
  return value === null || base === null || base === 0 ? null : Number((value / base).toFixed(2));
}
