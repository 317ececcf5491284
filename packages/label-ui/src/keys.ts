import type { Answer } from './backend.js';

export type Action =
  | Answer
  | 'undo'
  | 'play'
  | 'play_first'
  | 'play_second'
  | 'zoom_in'
  | 'zoom_out'
  | 'zoom_reset'
  | 'help';

export const ACTIONS: readonly { readonly action: Action; readonly label: string; readonly keys: readonly string[] }[] =
  [
    { action: 'first', label: 'The first is better', keys: ['1', 'ArrowLeft'] },
    { action: 'second', label: 'The second is better', keys: ['2', 'ArrowRight'] },
    { action: 'tie', label: 'Equally good', keys: ['t'] },
    { action: 'both_bad', label: 'Both bad', keys: ['b'] },
    { action: 'skip', label: 'Skip', keys: ['s'] },
    { action: 'undo', label: 'Take the last vote back', keys: ['z'] },
    { action: 'play', label: 'Play or pause', keys: [' '] },
    { action: 'play_first', label: 'Play the first', keys: ['q'] },
    { action: 'play_second', label: 'Play the second', keys: ['w'] },
    { action: 'zoom_in', label: 'Closer', keys: ['+', '='] },
    { action: 'zoom_out', label: 'Further', keys: ['-'] },
    { action: 'zoom_reset', label: 'Whole pictures', keys: ['0'] },
    { action: 'help', label: 'Keys and help', keys: ['?'] },
  ];

/** How the rater has set the keys; kept in the browser. */
export interface KeySettings {
  readonly enabled: boolean;
  readonly keys: Readonly<Partial<Record<Action, string>>>;
}

const STORED = 'hpsv3-label-keys';

export function loadKeys(): KeySettings {
  try {
    const stored = JSON.parse(localStorage.getItem(STORED) ?? 'null');
    if (stored && typeof stored.enabled === 'boolean' && typeof stored.keys === 'object') return stored;
  } catch {
    // Unreadable or forbidden: as if nothing were stored.
  }
  return { enabled: true, keys: {} };
}

export function storeKeys(settings: KeySettings): void {
  try {
    localStorage.setItem(STORED, JSON.stringify(settings));
  } catch {
    // They hold until the page is closed.
  }
}

export const keysOf = (action: Action, { keys }: KeySettings): readonly string[] =>
  keys[action] ? [keys[action]] : (ACTIONS.find((each) => each.action === action)?.keys ?? []);

const NAMES: Readonly<Record<string, string>> = { ' ': 'Space', ArrowLeft: '←', ArrowRight: '→' };
export const keyName = (key: string): string => NAMES[key] ?? key.toUpperCase();

/** What a key press asks for; null for none, in fields, and with keys that belong to the browser. */
export function actionOf(event: KeyboardEvent, settings: KeySettings): Action | null {
  if (!settings.enabled || event.ctrlKey || event.metaKey || event.altKey || event.isComposing || event.repeat)
    return null;
  const target = event.target instanceof Element ? event.target : null;
  if (target?.closest('input, textarea, select, [contenteditable], dialog')) return null;
  // Media have keys of their own, and Space and Enter press a button that has the focus.
  if (target?.closest('audio, video') && (event.key === ' ' || event.key.startsWith('Arrow'))) return null;
  if (target?.closest('button, a, summary') && event.key === ' ') return null;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  return ACTIONS.find(({ action }) => keysOf(action, settings).includes(key))?.action ?? null;
}
