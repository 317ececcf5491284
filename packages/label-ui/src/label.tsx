import { render } from 'preact';
import { useCallback, useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import {
  type Answer,
  type Backend,
  httpBackend,
  type Me,
  newVoteId,
  type Question,
  type Refused,
  type SentVote,
  takeToken,
  UI_VERSION,
  type Work,
} from './backend.js';
import { Help } from './help.js';
import { type Action, actionOf, keyName, keysOf, loadKeys, storeKeys } from './keys.js';
import { offlineBackend } from './offline.js';
import { hasImages, isPlayable, type SideName, Sides, type View, WHOLE, zoomed } from './sides.js';
import { lockTab, type TabLock } from './tab-lock.js';

/** What the page says of the vote that was last cast; it says saved only of what is on disk. */
type Saving =
  | { readonly state: 'none' | 'saving' | 'saved' | 'undone' }
  | { readonly state: 'not-saved'; readonly why: string };

const RETRY_MS = [500, 1000, 2000, 5000];

const BUTTONS: readonly { readonly answer: Answer; readonly label: string }[] = [
  { answer: 'first', label: 'First' },
  { answer: 'tie', label: 'Tie' },
  { answer: 'both_bad', label: 'Both bad' },
  { answer: 'second', label: 'Second' },
];

function App({ backend }: { readonly backend: Backend }) {
  const [me, setMe] = useState<Me | null>(null);
  const [error, setError] = useState<string | null>(null);
  const token = useRef(takeToken());
  const refresh = useCallback(() => backend.me().then(setMe, (failure) => setError(String(failure.message))), []);
  useEffect(() => void refresh(), []);
  if (error !== null)
    return (
      <Notice
        title="This cannot go on"
        text={`${error}.`}
        action={{ label: 'Try again', run: () => location.reload() }}
      />
    );
  if (!me) return <Notice title="Loading" text="" />;
  if (me.role === 'admin' && !token.current)
    return (
      <Notice title="You are the administrator" text="Votes are for raters; their progress is on the page /admin." />
    );
  if (me.rater === null || token.current) return <Begin me={me} token={token} backend={backend} onDone={refresh} />;
  if (me.consent) return <Begin me={me} token={token} backend={backend} onDone={refresh} />;
  return <Labelling backend={backend} rater={me.rater} />;
}

function Notice({ title, text, action }: { title: string; text: string; action?: { label: string; run: () => void } }) {
  return (
    <main class="notice">
      <h1>{title}</h1>
      <p role="status">{text}</p>
      {action && (
        <button type="button" class="primary" onClick={action.run}>
          {action.label}
        </button>
      )}
    </main>
  );
}

function Begin({
  me,
  token,
  backend,
  onDone,
}: {
  me: Me;
  token: { current: string | null };
  backend: Backend;
  onDone: () => void;
}) {
  const [failure, setFailure] = useState<string | null>(null);
  const { consent, open, rater } = me;
  const mayBegin = rater !== null || open || token.current !== null;
  const begin = async (): Promise<void> => {
    try {
      if (rater === null || token.current) await backend.join(token.current, consent?.version ?? null);
      else if (consent) await backend.agree(consent.version);
      token.current = null;
      onDone();
    } catch (error) {
      setFailure((error as Error).message);
    }
  };
  return (
    <main class="notice">
      <h1>Compare two, choose one</h1>
      {!mayBegin && <p>Open the link that you were given: it lets you in once.</p>}
      {mayBegin && (
        <>
          <p>
            You will be shown two things at a time and asked which one is better. There is no hurry, and no right answer
            to guess.
          </p>
          {consent && (
            <section aria-label="What you agree to" class="consent">
              <p class="text" dir="auto">
                {consent.text}
              </p>
            </section>
          )}
          <button type="button" class="primary" onClick={() => void begin()}>
            {consent ? 'I agree: begin' : 'Begin'}
          </button>
        </>
      )}
      <p role="status" class="failure">
        {failure && `${failure}.`}
      </p>
    </main>
  );
}

function Labelling({ backend, rater }: { readonly backend: Backend; readonly rater: string }) {
  const [work, setWork] = useState<Work | null>(null);
  const [current, setCurrent] = useState<Question | null>(null);
  const [mayWork, setMayWork] = useState<boolean | null>(null);
  const [saving, setSaving] = useState<Saving>({ state: 'none' });
  const [failure, setFailure] = useState<string | null>(null);
  const lock = useRef<TabLock | null>(null);
  useEffect(() => {
    lock.current = lockTab(setMayWork);
  }, []);

  /** Tickets that were answered: what was asked for before may still come with them. */
  const answered = useRef(new Set<string>());
  const open = ({ questions }: Work): Question[] => questions.filter(({ ticket }) => !answered.current.has(ticket));

  /** What is shown stays, as long as it is not answered; after an undo, what was taken back is shown. */
  const load = useCallback(async (isUndone = false): Promise<void> => {
    for (let attempt = 0; ; attempt++) {
      try {
        const next = await backend.work();
        setWork(next);
        setCurrent((shown) => {
          const isOpen = shown !== null && !answered.current.has(shown.ticket);
          return isOpen && !isUndone ? shown : (open(next)[0] ?? null);
        });
        setFailure(null);
        return;
      } catch (error) {
        const refused = error as Refused;
        if (refused.status === 401 || refused.status === 403) return setFailure(refused.message);
        setFailure('The server does not answer: trying again');
        await pause(attempt);
      }
    }
  }, []);
  useEffect(() => {
    if (mayWork) void load();
  }, [mayWork]);

  const send = useCallback(async (post: () => Promise<void>, done: 'saved' | 'undone'): Promise<boolean> => {
    setSaving({ state: 'saving' });
    for (let attempt = 0; ; attempt++) {
      try {
        await post();
        setSaving({ state: done });
        return true;
      } catch (error) {
        const { status, message, code } = error as Refused;
        // What time may mend is sent again, under the same id; anything else is said, and the question comes anew.
        const mayPass = status === 0 || status >= 500 || status === 408 || status === 429;
        setSaving({ state: 'not-saved', why: status === 507 ? 'the disk of the server is full' : message });
        if (!mayPass) return code === 'NOTHING_TO_UNDO';
        await pause(attempt);
      }
    }
  }, []);

  const onVote = async (vote: SentVote): Promise<void> => {
    const isSaved = await send(() => backend.vote(vote), 'saved');
    // What is refused for good is not asked again either: the server has something else to ask.
    answered.current.add(vote.ticket);
    const next = work && isSaved ? open(work)[0] : undefined;
    if (next) setCurrent(next);
    await load();
  };
  const onUndo = async (): Promise<void> => {
    const id = newVoteId();
    if (await send(() => backend.undo(id), 'undone')) await load(true);
  };

  if (mayWork === false) {
    return (
      <Notice
        title="This is open in another tab"
        text="Votes are taken there. Nothing can be voted on in this tab."
        action={{ label: 'Go on in this tab', run: () => lock.current?.take() }}
      />
    );
  }
  if (failure && !current) return <Notice title="One moment" text={`${failure}.`} />;
  if (!work) return <Notice title="Loading" text="" />;
  if (work.paused)
    return <Notice title="Thank you" text="There is nothing more to compare for you. Your votes are kept." />;
  const next = open(work).find((question) => question.ticket !== current?.ticket);
  const status = describe(saving);
  return (
    <>
      {current ? (
        <Comparison
          key={current.ticket}
          question={current}
          work={work}
          rater={rater}
          backend={backend}
          saving={saving}
          status={failure ?? status}
          onVote={onVote}
          onUndo={onUndo}
        />
      ) : (
        <Done work={work} status={status} onUndo={onUndo} onAgain={() => void load()} backend={backend} />
      )}
      {next && <Preloaded question={next} mediaUrl={backend.mediaUrl} />}
    </>
  );
}

const pause = (attempt: number): Promise<void> =>
  new Promise((resolve) => setTimeout(resolve, RETRY_MS[Math.min(attempt, RETRY_MS.length - 1)]));

function describe(saving: Saving): string {
  switch (saving.state) {
    case 'none':
      return '';
    case 'saving':
      return 'Saving';
    case 'saved':
      return 'Saved';
    case 'undone':
      return 'Taken back';
    case 'not-saved':
      return `Not saved: ${saving.why}`;
  }
}

function Done({
  work,
  status,
  onUndo,
  onAgain,
  backend,
}: {
  work: Work;
  status: string;
  onUndo: () => Promise<void>;
  onAgain: () => void;
  backend: Backend;
}) {
  useEffect(() => {
    if (work.due === 0) return;
    const timer = setInterval(onAgain, 15_000); // pairs that others leave come back
    return () => clearInterval(timer);
  }, [work.due]);
  return (
    <main class="notice">
      <h1>{work.due === 0 || backend.save ? 'All done' : 'Nothing to do right now'}</h1>
      <p>
        {work.done} {work.done === 1 ? 'vote' : 'votes'} of yours.{' '}
        {work.due > 0 && !backend.save && 'Others are still at work; this page looks again by itself.'}
      </p>
      <p role="status">{status}</p>
      {backend.save && (
        <button type="button" class="primary" onClick={() => void backend.save?.()}>
          Save votes to a file
        </button>
      )}
      {work.canUndo && (
        <button type="button" onClick={() => void onUndo()}>
          Take the last vote back
        </button>
      )}
    </main>
  );
}

/** Loads what comes next while this is looked at. */
function Preloaded({ question, mediaUrl }: { question: Question; mediaUrl: (sha256: string) => string }) {
  const parts = [...question.first.parts, ...question.second.parts];
  return (
    <div hidden>
      {parts.map((part, i) => {
        if (part.kind === 'image') return <img key={i} src={mediaUrl(part.media)} alt="" />;
        // biome-ignore lint/a11y/useMediaCaption: never played
        if (part.kind === 'audio') return <audio key={i} preload="auto" src={mediaUrl(part.media)} data-preloaded />;
        // biome-ignore lint/a11y/useMediaCaption: never played
        if (part.kind === 'video') return <video key={i} preload="auto" src={mediaUrl(part.media)} data-preloaded />;
        return null;
      })}
    </div>
  );
}

interface ComparisonProps {
  readonly question: Question;
  readonly work: Work;
  readonly rater: string;
  readonly backend: Backend;
  readonly saving: Saving;
  readonly status: string;
  readonly onVote: (vote: SentVote) => Promise<void>;
  readonly onUndo: () => Promise<void>;
}

function Comparison({ question, work, rater, backend, saving, status, onVote, onUndo }: ComparisonProps) {
  const [ready, setReady] = useState<'loading' | 'whole' | 'broken'>('loading');
  const [played, setPlayed] = useState<ReadonlySet<SideName>>(new Set());
  const [view, setView] = useState<View>(WHOLE);
  const [answer, setAnswer] = useState<Answer | null>(null);
  const [keys, setKeys] = useState(loadKeys);
  const help = useRef<HTMLDialogElement>(null);
  const heading = useRef<HTMLHeadingElement>(null);
  const clock = useRef(new Clock());
  const id = useRef(newVoteId());
  useEffect(() => {
    heading.current?.focus({ preventScroll: true });
    window.scrollTo(0, 0);
    return clock.current.start();
  }, []);

  const sound = [question.first, question.second].filter(({ parts }) => parts.some(isPlayable)).length;
  const isHeard = played.size >= sound;
  const mayVote = ready === 'whole' && isHeard && answer === null;
  const maySkip = ready !== 'loading' && answer === null;

  const vote = (chosen: Answer): void => {
    if (chosen === 'skip' ? !maySkip : !mayVote) return;
    setAnswer(chosen);
    // What was shown is read from the page itself, not from what it was made of.
    const shown = [...document.querySelectorAll<HTMLElement>('.side')].map((side) => side.dataset['sha256'] ?? '');
    void onVote({
      vote: id.current,
      ticket: question.ticket,
      answer: chosen,
      shown: [shown[0], shown[1]],
      ...clock.current.times(),
      ui: UI_VERSION,
    }).finally(() => setAnswer(null));
  };
  const undo = (): void => {
    if (answer !== null || !work.canUndo) return;
    setAnswer('skip'); // nothing else meanwhile
    void onUndo().finally(() => setAnswer(null));
  };
  const act = (action: Action): void => {
    if (action === 'undo') undo();
    else if (action === 'help') help.current?.showModal();
    else if (action === 'zoom_in') setView(zoomed(view, 1.5));
    else if (action === 'zoom_out') setView(zoomed(view, 1 / 1.5));
    else if (action === 'zoom_reset') setView(WHOLE);
    else if (action.startsWith('play')) play(action, played);
    else vote(action as Answer);
  };
  const latest = useRef({ act, keys });
  latest.current = { act, keys };
  // Before anything is painted: a key that is pressed once a pair can be seen is heard.
  useLayoutEffect(() => {
    const onKey = (event: KeyboardEvent): void => {
      const action = actionOf(event, latest.current.keys);
      if (!action) return;
      event.preventDefault();
      latest.current.act(action);
    };
    document.addEventListener('keydown', onKey);
    return () => document.removeEventListener('keydown', onKey);
  }, []);

  const hint = (action: Action) => keys.enabled && <kbd>{keysOf(action, keys).map(keyName).join(' ')}</kbd>;
  const why =
    ready === 'loading'
      ? 'Loading both'
      : ready === 'broken'
        ? 'One of them cannot be shown: skip it'
        : isHeard
          ? ''
          : 'Play both to the end first';
  return (
    <>
      <header>
        <h1 ref={heading} tabIndex={-1} dir="auto">
          {question.question}
        </h1>
        <p class="progress">
          <span>
            {work.done} done{backend.save ? '' : `, ${work.due} to go`}
          </span>
          <span class="rater">{rater}</span>
        </p>
        {question.prompt !== null && (
          <section class="prompt" aria-label="Prompt">
            <p class="text" dir="auto">
              {question.prompt}
            </p>
          </section>
        )}
      </header>
      <main>
        <Sides
          question={question}
          mediaUrl={backend.mediaUrl}
          view={view}
          setView={setView}
          onReady={(isWhole) => {
            clock.current.ready();
            setReady(isWhole ? 'whole' : 'broken');
          }}
          onPlayed={(side) => setPlayed((before) => new Set([...before, side]))}
        />
        {hasImages(question) && (
          <fieldset class="zoom" aria-label="Size of both pictures">
            <button type="button" aria-label="Further" onClick={() => act('zoom_out')} disabled={view.zoom <= 1}>
              −
            </button>
            <button type="button" onClick={() => act('zoom_reset')} disabled={view.zoom <= 1}>
              {Math.round(100 * view.zoom)} %
            </button>
            <button type="button" aria-label="Closer" onClick={() => act('zoom_in')}>
              +
            </button>
          </fieldset>
        )}
      </main>
      <footer>
        <p role="status" class={saving.state === 'not-saved' ? 'failure' : ''} data-state={saving.state}>
          {why && saving.state !== 'not-saved' ? why : status}
        </p>
        <fieldset class="votes" aria-label="Your answer">
          {BUTTONS.map(({ answer: each, label }) => (
            <button
              type="button"
              key={each}
              class={`vote ${each}`}
              data-answer={each}
              aria-pressed={answer === each}
              aria-disabled={!mayVote}
              onClick={() => vote(each)}
            >
              {label} {hint(each)}
            </button>
          ))}
        </fieldset>
        <div class="more">
          <button type="button" data-answer="skip" aria-disabled={!maySkip} onClick={() => vote('skip')}>
            Skip {hint('skip')}
          </button>
          <button type="button" data-answer="undo" aria-disabled={!work.canUndo || answer !== null} onClick={undo}>
            Undo {hint('undo')}
          </button>
          <button type="button" onClick={() => act('help')}>
            Help {hint('help')}
          </button>
          {backend.save && (
            <button type="button" onClick={() => void backend.save?.()}>
              Save votes to a file
            </button>
          )}
        </div>
      </footer>
      <Help
        dialog={help}
        keys={keys}
        onKeys={(changed) => {
          setKeys(changed);
          storeKeys(changed);
        }}
      />
    </>
  );
}

/** Plays a side, or pauses what plays; without a side, the first that was not heard. */
function play(action: Action, played: ReadonlySet<SideName>): void {
  const sides = [...document.querySelectorAll('.side')];
  const mediaIn = (side: Element | undefined) => side?.querySelector<HTMLMediaElement>('audio, video') ?? null;
  const all = sides.map(mediaIn);
  const playing = all.find((media) => media && !media.paused);
  const wanted =
    action === 'play_first'
      ? all[0]
      : action === 'play_second'
        ? all[1]
        : (playing ?? (played.has('First') ? all[1] : all[0]));
  if (!wanted) return;
  if (wanted.paused) void wanted.play();
  else wanted.pause();
}

/** Times of one comparison, in milliseconds. */
class Clock {
  private readonly opened = performance.now();
  private shown: number | null = null;
  private visibleSince: number | null = null;
  private visible = 0;

  start(): () => void {
    const onChange = (): void => {
      if (this.shown === null) return;
      if (document.visibilityState === 'visible') this.visibleSince ??= performance.now();
      else this.hide();
    };
    document.addEventListener('visibilitychange', onChange);
    return () => document.removeEventListener('visibilitychange', onChange);
  }

  /** Both sides can be seen. */
  ready(): void {
    this.shown = performance.now();
    if (document.visibilityState === 'visible') this.visibleSince = this.shown;
  }

  times() {
    this.hide();
    const now = performance.now();
    const shown = this.shown ?? now;
    this.visibleSince = document.visibilityState === 'visible' ? now : null;
    return {
      ms: Math.round(now - shown),
      visible_ms: Math.round(this.visible),
      media_ready_ms: Math.round(shown - this.opened),
    };
  }

  private hide(): void {
    if (this.visibleSince !== null) this.visible += performance.now() - this.visibleSince;
    this.visibleSince = null;
  }
}

render(<App backend={offlineBackend() ?? httpBackend} />, document.getElementById('app')!);
