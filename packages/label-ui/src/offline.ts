import { type Backend, newVoteId, type Question, type SentVote, type ShownSide } from './backend.js';

/** What the file holds: one rater's pairs, their media among it as data: addresses. */
interface Packed {
  readonly name: string;
  readonly seed: number;
  readonly consent: { readonly version: string; readonly text: string } | null;
  readonly pairs: readonly {
    readonly id: string;
    readonly question: string;
    readonly prompt: string | null;
    readonly left: ShownSide;
    readonly right: ShownSide;
  }[];
  readonly media: Readonly<Record<string, string>>;
}

type Line = { readonly [field: string]: unknown } & {
  readonly seq: number;
  readonly vote: string;
  readonly pair: string;
  readonly choice: string;
  readonly replaces: string | null;
};

const STORE = 'votes';

/** The page as a file: votes lie in the browser until they are saved. Null on a page that a server sent. */
export function offlineBackend(): Backend | null {
  const data = document.getElementById('packed');
  if (!data) return null;
  const packed = JSON.parse(data.textContent ?? '') as Packed;
  let database: Promise<IDBDatabase> | undefined;
  let lines: Line[] | undefined;
  let facts: { rater: string; consent: string | null; firsts: Record<string, 'left' | 'right'> } | undefined;

  const db = (): Promise<IDBDatabase> => (database ??= open(`hpsv3-label-${packed.name}`));
  const state = async () => {
    lines ??= (await all(await db())) as Line[];
    facts ??= (await get(await db(), 'facts')) as typeof facts;
    return { lines, facts };
  };
  /** Of each pair the last word: undone ones are not there. */
  const standing = (): Map<string, Line> => {
    const found = new Map<string, Line>();
    for (const line of lines ?? []) {
      if (line.choice === 'undo') found.delete(line.pair);
      else found.set(line.pair, line);
    }
    return found;
  };
  const firstOf = async (pair: string): Promise<'left' | 'right'> => {
    const drawn = facts!.firsts[pair] ?? ((crypto.getRandomValues(new Uint8Array(1))[0] & 1) === 0 ? 'left' : 'right');
    if (!facts!.firsts[pair]) {
      facts!.firsts[pair] = drawn;
      await put(await db(), 'facts', facts);
    }
    return drawn;
  };
  const add = async (line: Omit<Line, 'seq'>): Promise<void> => {
    const whole = { ...line, seq: lines!.length + 1 } as Line;
    await append(await db(), whole);
    lines!.push(whole);
  };

  return {
    me: async () => {
      const { facts: known } = await state();
      const agreed = known && known.consent === (packed.consent?.version ?? null);
      return {
        rater: known?.rater ?? null,
        role: known ? 'rater' : null,
        open: true,
        consent: agreed ? null : packed.consent,
      };
    },
    join: async (_, consent) => {
      const rater = `o-${newVoteId().slice(2, 14)}`;
      facts = { rater, consent, firsts: {} };
      await put(await db(), 'facts', facts);
    },
    agree: async (consent) => {
      facts = { ...facts!, consent };
      await put(await db(), 'facts', facts);
    },
    work: async () => {
      await state();
      const done = standing();
      const open = packed.pairs.filter(({ id }) => !done.has(id));
      const questions = await Promise.all(
        open.slice(0, 2).map(async ({ id, question, prompt, left, right }): Promise<Question> => {
          const first = await firstOf(id);
          const [one, other] = first === 'left' ? [left, right] : [right, left];
          return { ticket: id, question, prompt, first: one, second: other };
        }),
      );
      return { questions, done: done.size, due: open.length, paused: false, canUndo: done.size > 0 };
    },
    vote: async (sent: SentVote) => {
      const pair = packed.pairs.find(({ id }) => id === sent.ticket)!;
      const first = facts!.firsts[pair.id];
      const second = first === 'left' ? 'right' : 'left';
      const choice = sent.answer === 'first' ? first : sent.answer === 'second' ? second : sent.answer;
      if (sent.shown[0] !== pair[first].sha256 || sent.shown[1] !== pair[second].sha256)
        throw new Error('what is shown is not the pair');
      if (lines!.some(({ vote }) => vote === sent.vote)) return;
      await add({
        schema: 'hpsv3/vote@1',
        vote: sent.vote,
        pair: pair.id,
        rater: facts!.rater,
        choice,
        shown: { first, seed: packed.seed },
        left_sha256: pair.left.sha256,
        right_sha256: pair.right.sha256,
        ms: sent.ms,
        visible_ms: sent.visible_ms,
        media_ready_ms: sent.media_ready_ms,
        gold: false,
        repeat: false,
        replaces: standing().get(pair.id)?.vote ?? null,
        at: new Date().toISOString(),
        ui: sent.ui,
        consent: facts!.consent,
      });
    },
    undo: async (vote) => {
      const last = [...standing().values()].sort((a, b) => a.seq - b.seq).at(-1);
      if (last) await add({ ...last, vote, choice: 'undo', replaces: last.vote, at: new Date().toISOString() });
    },
    save: async () => {
      const text = lines!.map((line) => `${JSON.stringify(line)}\n`).join('');
      const link = document.createElement('a');
      link.href = URL.createObjectURL(new Blob([text], { type: 'application/jsonl' }));
      link.download = `votes-${facts!.rater}.jsonl`;
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
    },
    mediaUrl: (sha256) => packed.media[sha256],
  };
}

const FACTS = 'facts';

const open = (name: string): Promise<IDBDatabase> =>
  new Promise((resolve, reject) => {
    const request = indexedDB.open(name, 1);
    request.onupgradeneeded = () => {
      request.result.createObjectStore(STORE, { keyPath: 'seq' });
      request.result.createObjectStore(FACTS);
    };
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(new Error('this browser keeps nothing of files: votes would be lost'));
  });

const all = (db: IDBDatabase): Promise<unknown[]> => result(db.transaction(STORE).objectStore(STORE).getAll());
const get = (db: IDBDatabase, key: string): Promise<unknown> =>
  result(db.transaction(FACTS).objectStore(FACTS).get(key));
const put = (db: IDBDatabase, key: string, value: unknown): Promise<void> =>
  written(db, FACTS, (store) => store.put(value, key));
const append = (db: IDBDatabase, line: object): Promise<void> => written(db, STORE, (store) => store.add(line));

const result = <T>(request: IDBRequest<T>): Promise<T> =>
  new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });

/** Once it is on disk: transactions that are strict say so. */
const written = (db: IDBDatabase, name: string, use: (store: IDBObjectStore) => void): Promise<void> =>
  new Promise((resolve, reject) => {
    const transaction = db.transaction(name, 'readwrite', { durability: 'strict' });
    use(transaction.objectStore(name));
    transaction.oncomplete = () => resolve();
    transaction.onabort = () =>
      reject(
        new Error(
          transaction.error?.name === 'QuotaExceededError' ? 'the browser has no room' : 'the browser did not keep it',
        ),
      );
  });
