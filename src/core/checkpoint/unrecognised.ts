/** Contents that are often taken for a checkpoint: how each is told, what it is, and what to do about it. */
const LOOKALIKES: readonly { readonly is: (head: Buffer) => boolean; readonly what: string; readonly hint: string }[] =
  [
    {
      is: (head) => head.byteLength === 0,
      what: 'an empty file',
      hint: 'Download or save it again.',
    },
    {
      is: (head) => head.toString('latin1', 0, 42).startsWith('version https://git-lfs.github.com/spec/'),
      what: 'a git-lfs pointer, not the file it stands for',
      hint: 'Run `git lfs pull` in the folder it came from.',
    },
    {
      is: (head) => /^\s*<(!doctype|html|\?xml)/i.test(head.toString('latin1', 0, 256)),
      what: 'a web page, perhaps the error page of a download',
      hint: 'Download the file itself, signed in if need be.',
    },
    {
      is: (head) => head.toString('latin1', 0, 8) === '\x89HDF\r\n\x1a\n',
      what: 'an HDF5 file (Keras .h5)',
      hint: 'Convert it with TensorFlow.js (`tensorflowjs_converter`) or save its weights as .npz.',
    },
    {
      is: (head) => head[0] === 0x08 && head[1] > 0 && head[1] < 0x80,
      what: 'an ONNX model',
      hint: 'It needs no export: use it with `verify`, `quantize` or `score`.',
    },
    {
      is: (head) => head.toString('latin1', 257, 262) === 'ustar',
      what: 'a tar archive (torch wrote such files before version 0.2)',
      hint: 'Unpack it if the checkpoint lies in it; load a very old torch file with torch and save its state dict again.',
    },
    {
      is: (head) => head[0] === 0x1f && head[1] === 0x8b,
      what: 'a gzip file',
      hint: 'Unpack it first.',
    },
    {
      is: (head) => head.toString('latin1', 0, 4) === 'GGUF',
      what: 'a GGUF file',
      hint: 'Use the checkpoint it was made from.',
    },
    {
      is: (head) => head.toString('latin1', 0, 6) === '\x93NUMPY',
      what: 'a single NumPy array',
      hint: 'Save named arrays with `numpy.savez`.',
    },
    {
      is: (head) => /^\s*[{[]/.test(head.toString('latin1', 0, 64)),
      what: 'a JSON document that lists no weights',
      hint: 'Give the checkpoint, or its *.index.json.',
    },
  ];

/** What a file that is no checkpoint seems to be, and what to do; null where it is like nothing known. */
export function recogniseLookalike(head: Uint8Array): { readonly what: string; readonly hint: string } | null {
  const bytes = Buffer.from(head.buffer, head.byteOffset, head.byteLength);
  return LOOKALIKES.find(({ is }) => is(bytes)) ?? null;
}
