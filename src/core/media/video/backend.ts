/** Options of FFmpeg's programs, before and after the name of the clip. */
export interface ToolArguments {
  readonly input: readonly string[];
  readonly output: readonly string[];
  /** A description of filters too long for an option: `ffmpeg` reads it from a file. */
  readonly filter?: string;
  /** Whether the clip may be of any length: the time limit is then for each piece, not for all. */
  readonly isLong?: boolean;
}

/** FFmpeg's two programs for one clip, wherever they come from. */
export interface VideoTools {
  /** What `ffprobe` prints, in pieces. */
  probe(args: ToolArguments): AsyncIterable<Uint8Array>;
  /** What `ffmpeg` writes, in pieces. */
  decode(args: ToolArguments): AsyncIterable<Uint8Array>;
  /** Whether pieces come while the program runs: without it all is held in memory. */
  readonly streams: boolean;
  close(): Promise<void>;
}

/** A way to decode clips that a machine may or may not have. */
export interface VideoBackend {
  readonly id: string;
  /** The tools for the clip at `path`, which errors call `name`; null where they are not installed. */
  open(path: string, name: string, signal?: AbortSignal): Promise<VideoTools | null>;
}
