/** Puts and gets of texts through a bridge of its own, with the outcomes that histories are made of. */
import {
  PutRequestSchema,
  PutResponseSchema,
  RangeRequestSchema,
  RangeResponseSchema,
} from '../../src/api/gen/rpc_pb.js';
import { type Bridge, GrpcClient, startBridge } from './bridge.ts';
import type { WriteOutcome } from './gateway.ts';
import type { Version } from './history/history.ts';

const bytes = (text: string) => new TextEncoder().encode(text);
const text = (data: Uint8Array) => new TextDecoder().decode(data);

export class BridgedKeys {
  private readonly bridge: Bridge;
  private readonly client: GrpcClient;

  private constructor(bridge: Bridge) {
    this.bridge = bridge;
    this.client = new GrpcClient(bridge.address);
  }

  static async start(target: string): Promise<BridgedKeys> {
    return new BridgedKeys(await startBridge(target));
  }

  async stop(): Promise<void> {
    this.client.close();
    await this.bridge.stop();
  }

  async put(key: string, value: string): Promise<WriteOutcome> {
    const init = { key: bytes(key), value: bytes(value) };
    try {
      const { header } = await this.client.call(
        'etcdserverpb.KV/Put',
        [PutRequestSchema, init],
        PutResponseSchema,
      );
      return { acknowledged: true, revision: Number(header?.revision) };
    } catch (error) {
      return { acknowledged: false, reason: String(error) };
    }
  }

  /** Throws when there is no answer. */
  async get(key: string): Promise<{ revision: number; found: Version[] }> {
    const { header, kvs } = await this.client.call(
      'etcdserverpb.KV/Range',
      [RangeRequestSchema, { key: bytes(key) }],
      RangeResponseSchema,
    );
    const found = kvs.map(({ value, modRevision }) => ({
      key,
      value: text(value),
      modRevision: Number(modRevision),
    }));
    return { revision: Number(header?.revision), found };
  }
}
