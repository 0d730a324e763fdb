/** Sends one row and says how its answer differs, or null. */
import { request } from 'node:http';
import { isDeepStrictEqual } from 'node:util';
import type { Json } from '../exchange.ts';
import { parseJson } from '../send.ts';
import type { Answer, Row } from './answers.ts';

/** A stream that is to say no more, or nothing at all, is listened to for so long. */
const quietMs = 150;
const answerWithinMs = 10_000;

interface Heard {
  status: number | null;
  text: string;
  ended: boolean;
}

export async function differenceOf(url: string, row: Row): Promise<string | null> {
  const heard = await hear(url, row);
  const { status, text, ended } = heard;
  const told = `${status} ${text.slice(0, 300)}${ended ? ' (ended)' : ''}`;
  return isAnswer(row.answer, heard) ? null : told;
}

function hear(url: string, { path, body, answer }: Row): Promise<Heard> {
  const heard: Heard = { status: null, text: '', ended: false };
  const isOver = () => heard.ended || (isStream(answer) && linesIn(heard) >= answer.lines.length);
  return new Promise((resolve) => {
    const outgoing = request(`${url}/v3/${path}`, { method: 'POST', agent: false });
    let timer = setTimeout(end, answer === 'silence' ? quietMs : answerWithinMs);
    function end() {
      clearTimeout(timer);
      resolve(heard);
      outgoing.destroy();
    }
    function changed() {
      if (!isOver()) return;
      clearTimeout(timer);
      const waits = isStream(answer) && !heard.ended;
      if (waits) timer = setTimeout(end, quietMs);
      else end();
    }
    function ended() {
      heard.ended = true;
      changed();
    }
    outgoing.on('error', ended);
    outgoing.on('response', (incoming) => {
      heard.status = incoming.statusCode ?? null;
      incoming.setEncoding('utf8');
      incoming.on('data', (chunk: string) => {
        heard.text += chunk;
        changed();
      });
      incoming.on('end', ended);
      incoming.on('error', ended);
    });
    outgoing.end(body);
  });
}

const isStream = (answer: Answer) => typeof answer === 'object' && 'lines' in answer;

function linesIn({ text }: Heard): number {
  return text.split('\n').length - 1;
}

function isAnswer(answer: Answer, { status, text, ended }: Heard): boolean {
  if (answer === 'silence') return text === '' && !ended;
  if ('code' in answer) {
    const { code, message } = failureIn(text);
    const isEtcds = /^(etcdserver|election|mvcc|grpc):/.test(String(message));
    const isRight = answer.message === undefined ? !isEtcds : message === answer.message;
    return (status ?? 0) >= 400 && code === answer.code && isRight;
  }
  if (status !== 200) return false;
  if ('body' in answer) return isDeepStrictEqual(withoutHeader(parseJson(text)), answer.body);
  const lines = text.split('\n').filter((line) => line !== '');
  const told = lines.map((line) => withoutHeader(parseJson(line)));
  return isDeepStrictEqual(told, answer.lines) && ended !== answer.open;
}

/** Of a call that was refused, or of a stream. */
function failureIn(text: string): { readonly code?: Json; readonly message?: Json } {
  const whole = objectOf(parseJson(text));
  const error = objectOf(whole.error ?? null);
  const code = error.code ?? error.grpc_code;
  return code === undefined ? whole : { ...error, code };
}

function withoutHeader(json: Json): Json {
  const { header: _, ...rest } = objectOf(json);
  return rest.result === undefined ? rest : { ...rest, result: withoutHeader(rest.result) };
}

function objectOf(json: Json): { [key: string]: Json } {
  return typeof json === 'object' && json !== null && !Array.isArray(json) ? json : {};
}
