/**
 * The router in a test, as in an isolate that has just started: nothing is left of earlier requests, be
 * they still waiting. What the router comes to keep for all requests is to be forgotten here too.
 */
import { forgetAll } from '../../src/router/members/hints.ts';
import { forgetTimes } from '../../src/router/members/nearest.ts';
import { forgetWaiting } from '../../src/router/members/silence.ts';

export function beginIsolate(): void {
  forgetAll();
  forgetTimes();
  forgetWaiting();
}
