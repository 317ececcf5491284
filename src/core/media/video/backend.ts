/** Options of FFmpeg's programs, before and after the name of the clip. */
export interface ToolArguments {
  readonly input: readonly string[];
  readonly output: readonly string[];
}

/** FFmpeg's two programs for one clip, wherever they come from. */
export interface VideoTools {
  /** What `ffprobe` prints. */
  probe(args: ToolArguments): Promise<string>;
  /** What `ffmpeg` writes, in pieces. */
  decode(args: ToolArguments): AsyncIterable<Uint8Array>;
  close(): Promise<void>;
}

/** A way to decode clips that a machine may or may not have. */
export interface VideoBackend {
  readonly id: string;
  /** The tools for the clip at `path`, which errors call `name`; null where they are not installed. */
  open(path: string, name: string, signal?: AbortSignal): Promise<VideoTools | null>;
}
