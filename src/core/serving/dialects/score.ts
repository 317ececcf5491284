import { Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { isJsonObject, type JsonValue } from '../../bytes/json.js';
import { parseJsonlRow, tooLarge } from '../../data/jsonl.js';
import { forEachLine, readLineBlocks } from '../../data/lines.js';
import { parseDataRow } from '../../data/parse-row.js';
import { idOf, type RowFields, type RowValue } from '../../data/row-json.js';
import { type DataRow, RowError, WINNERS } from '../../data/rows.js';
import { absoluteRowSchema, pairRowSchema, scoreRowSchema } from '../../data/schema.js';
import { inOrder } from '../../scoring/in-order.js';
import { chooseScorer, sampleOf } from '../../scoring/row-sample.js';
import * as z from '../../zod.js';
import type { Answer, Call, Dialect } from '../dialect.js';
import { type Failure, RequestError } from '../failure.js';
import { problem } from '../problem.js';
import type { Asked, Scored, Serving } from '../serving.js';

const NDJSON = 'application/x-ndjson';
/** Rows of a stream that are under way at once. */
const STREAM_ROWS = 256;

const modelName = { model: z.string().optional().describe('Name of the model, where several are served') };
export const rowSchema = z.union([pairRowSchema.safeExtend(modelName), absoluteRowSchema]);
const bodySchema = z.union([rowSchema, z.array(rowSchema)]);
const { percentile, mu, sigma, left_sigma, right_sigma, aux } = scoreRowSchema.shape;
const scoreSchema = z
  .object({
    id: z.string().optional(),
    score: z.number().describe('P(left preferred) of a pair; the utility of an item'),
    winner: z.enum(WINNERS).optional().describe('undecided: the server abstains under the margin of its calibrator'),
    confidence: z.number().nullable().optional(),
    logit: z.number(),
    calibrated: z.union([z.boolean(), z.number()]),
    calibratedBy: z.string().optional(),
    ...{ percentile, mu, sigma, left_sigma, right_sigma, aux },
    marks: z.array(z.string()).optional().describe('Marks of the server that hold'),
    task: z.string().optional(),
    truncated: z.literal(true).optional().describe('The end of a text was left out: it is longer than the model reads'),
    windows: scoreRowSchema.shape.windows,
    model: z.string().describe('sha256 of the model file'),
    request_id: z.string(),
  })
  .meta({ id: 'Score' });
const failedSchema = z
  .object({ id: z.string().nullable(), error: z.object({ code: z.string(), message: z.string() }) })
  .meta({ id: 'FailedRow' });
const answerSchema = z.union([scoreSchema, z.array(z.union([scoreSchema, failedSchema]))]);

/** The user's own: rows of a data file in, what `hpsv3 score` prints out. */
export const scoreDialect: Dialect = {
  id: 'score',
  title: 'hpsv3',
  failure: problem,
  routes: [
    {
      method: 'POST',
      url: '/score',
      summary:
        'Score a row, an array of rows, or a stream of them (application/x-ndjson). With Accept: text/event-stream each score is an event.',
      scope: 'score',
      reads: 'json',
      body: bodySchema,
      answer: answerSchema,
      claims: (body) => Object.hasOwn(body, 'type'),
      handle: scoreBody,
      stream: scoreStream,
    },
  ],
};

/** A row that was asked about, and the id it has. */
interface NamedRow {
  readonly id: string | null;
  readonly asked: Asked;
}

async function scoreBody(call: Call): Promise<Answer> {
  const { json, serving, headers } = call;
  const isArray = Array.isArray(json);
  if (isArray && json.length === 0) throw new RequestError('REQUEST_INVALID', 'the array is empty');
  const rows = (isArray ? json : [json]).map((row, i) => readRow(row, i, serving));
  const scores = serving.scoreAll(
    rows.map(({ asked }) => asked),
    call,
  );
  const answers = scores.map(async (scored, i) => formatRow(rows[i], await scored, call.id));
  if (headers.accept?.includes('text/event-stream')) return events(answers);
  const whole = await Promise.all(answers);
  if (isArray) return { body: whole };
  const { failure } = await scores[0];
  if (failure) return problem(failure, call.id);
  return { body: whole[0] };
}

/** One answer a row, in the order of the rows, as soon as each is there; the body is read no faster than it is answered. */
function scoreStream(call: Call): Answer {
  const { serving, id } = call;
  const answers = inOrder(rowsOf(call), {
    limit: STREAM_ROWS,
    schedulers: [],
    work: async (row) => {
      await serving.enterWhenFree(call);
      return formatRow(row, await serving.scoreTaken(row.asked, call), id);
    },
  });
  async function* lines(): AsyncGenerator<string> {
    for await (const answer of answers) yield `${JSON.stringify(answer)}\n`;
  }
  return { type: NDJSON, body: Readable.from(lines(), { objectMode: false }) };
}

async function* rowsOf({ raw, headers, serving }: Call): AsyncGenerator<NamedRow> {
  const encoding = headers['content-encoding'] ?? 'identity';
  if (encoding !== 'identity' && encoding !== 'gzip')
    throw new RequestError(
      'ENCODING_UNSUPPORTED',
      `content-encoding ${JSON.stringify(encoding)} is not read in a stream`,
    );
  const source = encoding === 'gzip' ? raw.pipe(createGunzip()) : raw;
  for await (const block of readLineBlocks(source)) {
    const rows: NamedRow[] = [];
    if (block.tooLong) {
      rows.push(failedRow(null, tooLarge()));
    }
    forEachLine(block, (start, end, line) => {
      const read = parseJsonlRow(block.bytes.subarray(start, end), line, (fields) => fields);
      if (read?.row) rows.push(readFields(read.row, line - 1, serving));
      else if (read) rows.push(failedRow(null, new RowError(read.code as RowError['code'], read.message)));
    });
    yield* rows;
  }
}

function events(answers: readonly Promise<object>[]): Answer {
  async function* text(): AsyncGenerator<string> {
    let failed = 0;
    for (const answer of answers) {
      const row = await answer;
      if ('error' in row) failed++;
      yield `event: score\ndata: ${JSON.stringify(row)}\n\n`;
    }
    yield `event: done\ndata: ${JSON.stringify({ rows: answers.length, failed })}\n\n`;
  }
  return {
    type: 'text/event-stream',
    headers: { 'cache-control': 'no-store' },
    body: Readable.from(text(), { objectMode: false }),
  };
}

/** One row of a body: what is asked, or why nothing can be. */
export function readRow(value: JsonValue, index: number, serving: Serving): NamedRow {
  const fields = toRowValue(value);
  if (fields instanceof Map) return readFields(fields, index, serving);
  return failedRow(null, new RowError('NOT_AN_OBJECT', 'a row must be a JSON object'));
}

function readFields(fields: RowFields, index: number, serving: Serving): NamedRow {
  const id = idOf(fields);
  try {
    const row = parseRow(fields, index);
    const name = fields.get('model');
    if (name !== undefined && typeof name !== 'string') throw new RowError('FIELD_INVALID', 'model must be a string');
    return { id, asked: { model: modelOf(row, name, serving), sample: sampleOf(row) } };
  } catch (error) {
    return failedRow(id, error);
  }
}

/** The rules of a data file; but what it does not know is refused, since nobody would see it counted. */
function parseRow(fields: RowFields, index: number): DataRow {
  const ignored = new Map<string, number>();
  const defaults: [string, RowValue][] = [['id', `row-${index + 1}`]];
  if (fields.has('left') || fields.has('chosen')) defaults.push(['type', 'pair']);
  const known = [...fields].filter(([name]) => name !== 'model');
  const row = parseDataRow(new Map([...defaults, ...known]), index + 1, ignored);
  const [unknown] = ignored.keys();
  if (unknown !== undefined) throw new RowError('FIELD_INVALID', `${JSON.stringify(unknown)} is not a field of a row`);
  return row;
}

function modelOf(row: DataRow, name: string | undefined, serving: Serving) {
  const { models, scorers } = serving;
  if (name !== undefined) return models.find(name);
  return models.all[scorers.indexOf(chooseScorer(row, scorers))];
}

const failedRow = (id: string | null, error: unknown): NamedRow => ({ id, asked: { error } });

function formatRow({ id }: NamedRow, { score, failure }: Scored, requestId: string): object {
  if (failure) return { id, error: errorOf(failure) };
  return { ...(id === null ? {} : { id }), ...score, request_id: requestId };
}

const errorOf = ({ code, message }: Failure): object => ({ code, message });

/** JSON as rows have it: objects as Maps. */
function toRowValue(value: JsonValue): RowValue {
  if (Array.isArray(value)) return value.map(toRowValue);
  if (!isJsonObject(value)) return value;
  return new Map(Object.entries(value).map(([name, member]) => [name, toRowValue(member)]));
}
