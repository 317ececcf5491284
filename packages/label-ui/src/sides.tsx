import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import type { Question, ShownPart, ShownSide } from './backend.js';

/** How far in, and where the middle is, as shares of the picture: one for both sides. */
export interface View {
  readonly zoom: number;
  readonly x: number;
  readonly y: number;
}
export const WHOLE: View = { zoom: 1, x: 0.5, y: 0.5 };
const MAX_ZOOM = 16;

export const zoomed = (view: View, factor: number): View =>
  panned({ ...view, zoom: Math.min(Math.max(view.zoom * factor, 1), MAX_ZOOM) }, 0, 0);
/** Never so far that there is nothing to see. */
export function panned({ zoom, x, y }: View, dx: number, dy: number): View {
  const edge = 0.5 / zoom;
  const within = (value: number): number => Math.min(Math.max(value, edge), 1 - edge);
  return { zoom, x: within(x + dx), y: within(y + dy) };
}

export type SideName = 'First' | 'Second';

export interface SidesProps {
  readonly question: Question;
  readonly mediaUrl: (sha256: string) => string;
  readonly view: View;
  readonly setView: (view: View) => void;
  /** Told once everything is there, or that something cannot be shown. */
  readonly onReady: (isWhole: boolean) => void;
  readonly onPlayed: (side: SideName) => void;
}

export const mediaOf = (side: ShownSide) => side.parts.filter((part) => 'media' in part);
export const hasImages = ({ first, second }: Question): boolean =>
  [first, second].some(({ parts }) => parts.some(({ kind }) => kind === 'image'));
export const isPlayable = (part: ShownPart): boolean => part.kind === 'audio' || part.kind === 'video';

/** Both sides, hidden until all of both has been loaded, so that neither has a start over the other. */
export function Sides(props: SidesProps) {
  const { question, onReady } = props;
  const count = mediaOf(question.first).length + mediaOf(question.second).length;
  const [loaded, setLoaded] = useState(0);
  const [broken, setBroken] = useState(false);
  const isReady = loaded >= count || broken;
  useLayoutEffect(() => {
    if (isReady) onReady(!broken);
  }, [isReady, broken]);
  const shared = { ...props, onLoaded: () => setLoaded((n) => n + 1), onBroken: () => setBroken(true) };
  return (
    <div class={`sides${isReady ? '' : ' loading'}`} aria-busy={!isReady}>
      <Side name="First" side={question.first} {...shared} />
      <Side name="Second" side={question.second} {...shared} />
    </div>
  );
}

interface SideProps extends SidesProps {
  readonly name: SideName;
  readonly side: ShownSide;
  readonly onLoaded: () => void;
  readonly onBroken: () => void;
}

function Side(props: SideProps) {
  const { name, side } = props;
  const images = side.parts.filter(({ kind }) => kind === 'image');
  return (
    <section class="side" aria-label={name} data-sha256={side.sha256}>
      <h2>{name}</h2>
      {side.parts.map((part, i) => (
        <Part
          key={i}
          part={part}
          label={`${name} ${part.kind}${images.length > 1 && part.kind === 'image' ? ` ${images.indexOf(part) + 1}` : ''}`}
          {...props}
        />
      ))}
    </section>
  );
}

function Part(props: SideProps & { readonly part: ShownPart; readonly label: string }) {
  const { part, label, name, mediaUrl, onLoaded, onBroken, onPlayed } = props;
  switch (part.kind) {
    case 'text':
      return (
        <p class="text" dir="auto">
          {part.text}
        </p>
      );
    case 'messages':
      return (
        <ol class="messages">
          {part.messages.map(({ role, content }, i) => (
            <li key={i}>
              <span class="role">{role}</span>
              <p class="text" dir="auto">
                {content}
              </p>
            </li>
          ))}
        </ol>
      );
    case 'image':
      return <Picture {...props} src={mediaUrl(part.media)} />;
    case 'audio':
    case 'video': {
      const Player = part.kind;
      return (
        <Player
          controls
          preload="auto"
          playsInline={part.kind === 'video'}
          aria-label={label}
          src={mediaUrl(part.media)}
          onLoadedData={(event: { readonly currentTarget: HTMLMediaElement }) => {
            void matchLoudness(event.currentTarget);
            onLoaded();
          }}
          onError={onBroken}
          onPlay={(event: { readonly currentTarget: HTMLMediaElement }) => alone(event.currentTarget)}
          onEnded={() => onPlayed(name)}
        />
      );
    }
  }
}

function Picture({
  src,
  label,
  view,
  setView,
  onLoaded,
  onBroken,
}: SideProps & { readonly src: string; readonly label: string }) {
  const drag = useRef<{ x: number; y: number; moved: boolean } | null>(null);
  const frame = useRef<HTMLDivElement>(null);
  const { zoom, x, y } = view;
  const image = useRef<HTMLImageElement>(null);
  // Through the style object: the page's policy forbids styles in attributes.
  useEffect(() => {
    if (image.current)
      image.current.style.transform = `scale(${zoom}) translate(${100 * (0.5 - x)}%, ${100 * (0.5 - y)}%)`;
  }, [zoom, x, y]);
  const onMove = (event: PointerEvent): void => {
    const from = drag.current;
    const box = frame.current?.getBoundingClientRect();
    if (!from || !box || zoom === 1) return;
    const [dx, dy] = [event.clientX - from.x, event.clientY - from.y];
    if (!from.moved && Math.hypot(dx, dy) < 4) return;
    setView(panned(view, -dx / box.width / zoom, -dy / box.height / zoom));
    drag.current = { x: event.clientX, y: event.clientY, moved: true };
  };
  const onUp = (event: PointerEvent): void => {
    const box = frame.current?.getBoundingClientRect();
    // Without dragging: a click on a part of the enlarged picture brings it to the middle.
    if (box && drag.current && !drag.current.moved && zoom > 1) {
      setView(
        panned(
          view,
          ((event.clientX - box.left) / box.width - 0.5) / zoom,
          ((event.clientY - box.top) / box.height - 0.5) / zoom,
        ),
      );
    }
    drag.current = null;
  };
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: buttons and keys do the same
    <div
      class={`frame${zoom > 1 ? ' zoomed' : ''}`}
      ref={frame}
      onPointerDown={(event) => {
        drag.current = { x: event.clientX, y: event.clientY, moved: false };
      }}
      onPointerMove={onMove}
      onPointerUp={onUp}
      onPointerLeave={() => {
        drag.current = null;
      }}
      onWheel={(event) => {
        if (!event.ctrlKey) return;
        event.preventDefault();
        setView(zoomed(view, event.deltaY < 0 ? 1.25 : 0.8));
      }}
      onDblClick={() => setView(zoom > 1 ? WHOLE : zoomed(view, 3))}
    >
      <img ref={image} src={src} alt={label} draggable={false} onLoad={onLoaded} onError={onBroken} />
    </div>
  );
}

/** Never two at once. */
function alone(playing: HTMLMediaElement): void {
  for (const other of document.querySelectorAll<HTMLMediaElement>('audio, video')) if (other !== playing) other.pause();
}

const loudness = new WeakMap<HTMLMediaElement, number>();

/** The louder of the two is turned down to the other, by their mean power; clips without sound, or that cannot be read, stay as they are. */
async function matchLoudness(element: HTMLMediaElement): Promise<void> {
  try {
    const bytes = await (await fetch(element.src)).arrayBuffer();
    const sound = await new OfflineAudioContext(1, 1, 16_000).decodeAudioData(bytes);
    const samples = sound.getChannelData(0);
    let sum = 0;
    for (const sample of samples) sum += sample * sample;
    loudness.set(element, Math.sqrt(sum / samples.length));
  } catch {
    return;
  }
  const all = [...document.querySelectorAll<HTMLMediaElement>('audio, video')].filter(
    (each) => (loudness.get(each) ?? 0) > 0,
  );
  const least = Math.min(...all.map((each) => loudness.get(each)!));
  for (const each of all) each.volume = Math.min(1, least / loudness.get(each)!);
}
