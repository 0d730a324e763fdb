/**
 * What a member needs from where it runs. RaftNode gives it a Durable Object; the simulator gives
 * it virtual time, a modelled output gate and a network that loses messages.
 */
import { protocolVersion } from '../api/limits.ts';
import type { LocationHint } from '../api/location-hints.ts';
import { currentRulesVersion } from '../kv/batch.ts';
import type { Sql } from '../kv/sql.ts';
import type { MemberSettings } from './settings.ts';
import type { WatchSocket } from './watch-hub.ts';

export interface Platform {
  readonly tenant: string;
  /** Number of this member's place, from 1. */
  readonly place: number;
  readonly sql: Sql;
  /** Places whose voters should lead, best first. */
  readonly preferredPlaces: readonly number[];
  readonly settings: MemberSettings;
  /** Runs `work` in one SQL transaction; whatever is sent later waits until it is durable. */
  transaction(work: () => void): void;
  /** Bytes of the database that are in use: what is deleted makes room at once, page by page. */
  databaseBytes(): number;
  /** Milliseconds since the epoch, for what outlives this life. The clock may be set back at any time. */
  wallTime(): number;
  /** Milliseconds that go on all the same (steady-clock.ts), for what this life waits for. */
  now(): number;
  /** Uniform in [0, 1). */
  random(): number;
  /** 16 random hex digits. */
  randomId(): string;
  /** Calls Member.onTimer when now() is `at`; replaces the earlier timer; null: no timer. */
  setTimer(at: number | null): void;
  /** Calls Member.onAlarm when wallTime() is `at`, in a later life too; replaces the earlier alarm; null: none. */
  setAlarm(at: number | null): void;
  /** Lets other events in: resolves in a later turn of the event loop. */
  yieldTurn(): Promise<void>;
  /** One request to another member of this tenant; rejects when no answer came in time. */
  call(
    place: number,
    path: MemberPath,
    body: Uint8Array,
    timeoutMs: number,
    /** Where its object is created, if this is the first request to it; null: as the settings say. */
    hint?: LocationHint | null,
  ): Promise<Uint8Array>;
  /** The sockets of watches that are open here, those of earlier lives included. */
  sockets(): readonly WatchSocket[];
  /** Ends this life: nothing it has not made durable may become visible. */
  abort(reason: string): void;
}

/** What this code understands; members of one group may run different code for a while. */
export interface CodeVersion {
  /** Newest rules of the state machine. */
  readonly rules: number;
  /** Protocol between members. */
  readonly protocol: number;
  /** The oldest protocol that understands what this code sends. */
  readonly minProtocol: number;
}

export const thisCode: CodeVersion = {
  rules: currentRulesVersion,
  protocol: protocolVersion,
  minProtocol: protocolVersion,
};

export type MemberPath = 'client' | 'peer' | 'birth';
