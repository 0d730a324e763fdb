/** The Worker: the router as its default export, and the class of the members' Durable Objects. */
import { createRouter } from './router/app.ts';

// biome-ignore lint/performance/noBarrelFile: the runtime looks for the class here
export { RaftNode } from './node-do/raft-node.ts';
export default createRouter();
