/** One command line with etcdctl in it, run against an endpoint, and what it says without what differs between any two clusters. */
import { spawn, spawnSync } from 'node:child_process';
import { etcdVersion } from '../../support/etcd.ts';

export const certPath = (name: string) =>
  new URL(`../../support/certs/${name}`, import.meta.url).pathname;

/** Of a server that wants its clients' certificates. */
export const tlsFiles = {
  cert: certPath('server.pem'),
  key: certPath('server.key'),
  authority: certPath('authority.pem'),
};

/** Says so once, where the programs are missing. */
export function isEtcdctlMissing(): boolean {
  const isMissing = etcdVersion() === null || spawnSync('etcdctl', ['version']).status !== 0;
  if (isMissing) console.log('No etcd and etcdctl on the PATH (Debian: etcd-server, etcd-client).');
  return isMissing;
}

export interface Said {
  readonly command: string;
  readonly status: number | null;
  readonly out: string;
  readonly err: string;
}

/**
 * What commands find, beside ETCDCTL_ENDPOINTS: $ENDPOINT, the same; $CERTS; $FILES, a directory that is empty at first.
 * `forms COMMAND` runs it in each of etcdctl's output formats, with the format's name for each %. Protobuf is not shown, since
 * ids are in it. `holds FILE` waits until a command in the background has written something to it.
 */
const prelude = `
forms() {
  for form in simple fields json table protobuf; do
    line=$(echo "$* -w $form" | sed "s/%/$form/g")
    if [ $form = protobuf ]; then eval "$line" > /dev/null; else eval "$line"; fi
    echo "$form: $?"
  done
}
holds() { until test -s "$1"; do sleep 0.1; done; }
`;

/** `endpoints`: the addresses of one cluster. */
export function run(command: string, endpoints: readonly string[], files: string): Promise<Said> {
  const env = {
    ...process.env,
    ETCDCTL_API: '3',
    ETCDCTL_ENDPOINTS: endpoints.join(),
    ENDPOINT: endpoints.join(),
    CERTS: certPath('.'),
    FILES: files,
  };
  const child = spawn('sh', ['-c', prelude + command], { env, stdio: ['ignore', 'pipe', 'pipe'] });
  const text = { out: '', err: '' };
  child.stdout.on('data', (data: Buffer) => {
    text.out += data;
  });
  child.stderr.on('data', (data: Buffer) => {
    text.err += data;
  });
  return new Promise((resolve) => {
    child.on('close', (status) => {
      const [out, err] = [text.out, text.err].map((said) => alike(said, endpoints, files));
      resolve({ command, status, out: out as string, err: err as string });
    });
  });
}

/** Without what differs between any two clusters: ids, terms, indexes, sizes, hashes, addresses, times, what is left of a lease. */
function alike(text: string, endpoints: readonly string[], files: string): string {
  const named = endpoints.reduce((said, endpoint) => said.replaceAll(endpoint, 'ENDPOINT'), text);
  return (
    named
      .replaceAll(files, 'FILES')
      .replaceAll(/\b3\.[45]\.\d+\b/g, 'VERSION')
      .replaceAll(/endpoint:\/\/client-[0-9a-f-]+\//g, 'CLIENT/')
      .replaceAll(/"(cluster_id|member_id|raft_term|ID|lease|id|leader|hash)":\d+/g, '"$1":N')
      .replaceAll(/"(dbSize|dbSizeInUse|raftTerm|raftIndex|raftAppliedIndex)":\d+/g, '"$1":N')
      .replaceAll(/"(ClusterID|MemberID|RaftTerm|Lease|ID|Leader|Hash)" : -?\d+/g, '"$1" : N')
      .replaceAll(/"(DBSize|RaftIndex|RaftAppliedIndex|TTL)" : \d+/g, '"$1" : N')
      .replaceAll(/[Tt]ook("?) (=|:) [\d.]+\S?s/g, 'took$1 $2 T')
      .replaceAll(/"took":"[^"]*"/g, '"took":T')
      .replaceAll(/"ts":("[^"]+"|[\d.]+)/g, '"ts":T')
      .replaceAll(/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+/gm, 'TIME')
      .replaceAll(/"(ttl)":\d+/g, '"$1":N')
      .replaceAll(/\b[0-9a-f]{14,16}\b/g, 'HEX')
      // Printed in 16 columns.
      .replaceAll(/ +HEX/g, ' HEX')
      .replaceAll(/remaining\(\d+s\)/g, 'remaining(N)')
      .replaceAll(/^[|+].*$/gm, sameWidths)
  );
}

/** A line of a table, whose columns are as wide as what is in them. */
function sameWidths(line: string): string {
  return line.replaceAll(/ +/g, ' ').replaceAll(/-+/g, '-');
}
