/**
 * The service that an example talks to: the one at KV_URL, or, if none answers there and the address is
 * this machine's, one that is started there for as long as the example runs.
 *
 *   KV_URL     http://127.0.0.1:2379
 *   API_TOKEN  what that service asks for, if it does; one that is started then asks for it, too
 *   DATA_DIR   .quorate                 of a service that is started
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { type Service, startService } from '../scripts/serving/workerd-process.ts';

export interface ExampleService {
  readonly url: string;
  /** Ends what was started here; a service that ran before goes on. */
  stop(): Promise<void>;
}

const restartAfterMs = 2_000;
/** Who dies so often does not die by somebody's trying it. */
const startsMax = 50;
const answerTimeoutMs = 5_000;

/** Whichever example starts the service, the page of the other one may come. */
export const pagePortUnlessSaid = 8080;

/** A service that is started lets in the pages at that port. */
export async function exampleService(pagePort = pagePortUnlessSaid): Promise<ExampleService> {
  const given = process.env.KV_URL || 'http://127.0.0.1:2379';
  const { origin, hostname, port } = new URL(given);
  if (await answers(origin)) {
    console.log(`Using the service at ${origin}`);
    return { url: origin, stop: async () => {} };
  }
  if (!['127.0.0.1', 'localhost', '[::1]'].includes(hostname))
    throw new Error(`Nothing answers at ${origin}, and it cannot be started here.`);
  // The same place to people, two origins to a browser.
  const corsOrigins = `http://127.0.0.1:${pagePort},http://localhost:${pagePort}`;
  const keeper = new Keeper(hostname.replace(/[[\]]/g, ''), Number(port || 80), corsOrigins);
  const { url } = await keeper.start();
  return { url, stop: () => keeper.stop() };
}

async function answers(url: string): Promise<boolean> {
  try {
    const response = await fetch(`${url}/version`, {
      signal: AbortSignal.timeout(answerTimeoutMs),
    });
    return response.ok;
  } catch {
    return false;
  }
}

/** Starts the service again when somebody kills it, to see what the example makes of that. */
class Keeper {
  private service: Service | null = null;
  private isStopping = false;
  private starts = 0;
  private readonly host: string;
  private port: number;
  private readonly corsOrigins: string;

  constructor(host: string, port: number, corsOrigins: string) {
    this.host = host;
    this.port = port;
    this.corsOrigins = corsOrigins;
  }

  async start(): Promise<Service> {
    this.starts += 1;
    const apiToken = process.env.API_TOKEN || undefined;
    const service = await startService({
      host: this.host,
      // 0, any free one, is for tests.
      port: this.port,
      dataDirectory: process.env.DATA_DIR || '.quorate',
      members: 3,
      preferredLeaders: '',
      corsOrigins: this.corsOrigins,
      openDefault: apiToken === undefined,
      openTenants: true,
      chaos: false,
      evictIdle: false,
      apiToken,
      ownGroup: true, // Who uses it may have to say something at its end.
      log: 'inherit',
    });
    this.service = service;
    this.port = service.port;
    console.log(`Started the service at ${service.url} (try: kill -9 ${service.pid})`);
    service.ended.then(() => this.restart()).catch(console.error);
    return service;
  }

  async stop(): Promise<void> {
    this.isStopping = true;
    await this.service?.stop();
  }

  private async restart(): Promise<void> {
    if (this.isStopping || this.starts >= startsMax) return;
    await sleep(restartAfterMs);
    if (this.isStopping) return;
    console.log('The service has ended; it is started again.');
    await this.start();
  }
}
