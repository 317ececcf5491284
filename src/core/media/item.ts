/** Where the bytes of a picture, a recording or a clip come from. `name` is what errors call it: the file's own by default. */
export type MediaSource =
  | { readonly path: string; readonly name?: string }
  | { readonly bytes: Uint8Array; readonly name: string };

/** One turn of a conversation. */
export interface ChatMessage {
  readonly role: string;
  readonly content: string;
}

/** One item to be scored: what its model reads of it. Plain data, so that it can be sent to a worker thread. */
export interface MediaItem {
  readonly image?: MediaSource;
  readonly text?: string;
  /** A conversation, for a model that reads its texts in a chat template. */
  readonly messages?: readonly ChatMessage[];
  /** A text before `text`, for a model that reads two in a row. */
  readonly context?: string;
  readonly audio?: MediaSource;
  readonly video?: MediaSource;
}
