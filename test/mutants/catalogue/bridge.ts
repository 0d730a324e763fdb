/** Bugs of the gRPC bridge: it loses what it carries, or is taken for somebody else. */
import { inFile, type Mutant } from '../mutant.ts';

const paced = ['test/router/http/web-socket.test.ts'];

export const bridgeMutants: readonly Mutant[] = [
  ...inFile('src/bridge/watches.ts', [
    {
      name: 'bridge-drops-message',
      standsFor: 'a watch event that comes while the client does not read is lost',
      find: 'if (call.write(data)) {',
      replace: 'if ((call.writableNeedDrain && HIT) || call.write(data)) {',
    },
    {
      name: 'bridge-drops-early',
      standsFor: 'a watch that is asked for before the socket is open is never created',
      find: 'for (const request of early ?? []) socket.send(request);',
      replace: 'for (const request of early ?? []) if (!HIT) socket.send(request);',
    },
    {
      name: 'bridge-never-acknowledges',
      standsFor: 'the service waits for ever for a client that reads all the time',
      find: 'socket.send(nothingAsked);',
      replace: 'if (!HIT) socket.send(nothingAsked);',
    },
    {
      name: 'bridge-ends-for-good',
      standsFor: 'clients give up their watches when the service goes away for a moment',
      find: 'return unreachable(reason ===',
      replace: 'return new CallFailed(HIT ? GrpcCode.Unknown : GrpcCode.Unavailable, reason ===',
    },
  ]),
  ...inFile('src/router/http/web-socket.ts', [
    {
      name: 'paced-sends-on',
      standsFor: 'a watch that is not read fills the memory of the service',
      find: 'while (this.untakenBytes >= this.windowBytes && !this.isGone)',
      replace: 'while (!HIT && this.untakenBytes >= this.windowBytes && !this.isGone)',
      hint: paced,
    },
    {
      name: 'paced-credits-too-much',
      standsFor: 'who acknowledges more than it was sent is sent without bounds',
      find: 'this.untakenBytes = Math.max(0, this.untakenBytes - bytes);',
      replace:
        'this.untakenBytes = HIT ? this.untakenBytes - bytes : Math.max(0, this.untakenBytes - bytes);',
      hint: paced,
    },
  ]),
];
