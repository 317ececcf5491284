// Why targets are missed, where they are: written by hand after a look with a profiler, shown beside the figures of the last run.

/**
 * One reason may hold for several targets: those of a bench whose case and text begin so.
 *
 * @type {{bench: string, cases?: string, targets?: string[], why: string}[]}
 */
export const REASONS = [
  {
    bench: 'export',
    targets: ['at least 8 times'],
    why: "The peer is torch.onnx's older exporter, which traces TorchScript. Beside the floor, ours takes the start of the program, the check of the archive's CRC-32, a second read of the weights, and the search for NaN. Its default exporter (dynamo) and optimum-onnx are in the table.",
  },
  {
    bench: 'export',
    targets: ['within'],
    why: 'SHA-256 of all that is read and of all that is written is the floor, and already takes longer on two cores: its row is in the table. Ours is to be read against that row.',
  },
  {
    bench: 'batch',
    cases: '160',
    targets: ['at least 1 times', 'at least 90'],
    why: 'Nine tenths of the time are the model in the same runtime on both sides; pictures are decoded on the same two cores meanwhile, to the bits that Pillow gives.',
  },
  {
    bench: 'batch',
    cases: '160',
    targets: ['peak memory'],
    why: 'A session for each core, each with its own packed weights, so that scores have the same bits on any number of cores, where the peer has one session with two threads; and the model runs in a process of its own, so that the pages of Node count twice.',
  },
  {
    bench: 'batch',
    cases: '24',
    targets: ['peak memory'],
    why: 'Two pictures are decoded at a time, whole (36 MB each), where the peer decodes one; beside them stand the threads that decode and the process of the model, and the pages of Node count in both.',
  },
  {
    bench: 'batch',
    targets: ['rows a second'],
    why: 'A row takes some 110 us of processor time: a third of it onnxruntime, a third the main thread (reading and checking the row, tokens, places in batches, its line of JSON, the journal), the rest the way to the model process and back, and the collection of garbage. Twice the rows would take most of the main thread out of one thread.',
  },
  {
    bench: 'batch',
    targets: ['peak memory at most 1.1'],
    why: 'A thousand rows end before the young generation of V8 has grown to its full size; Growth, below, shows how little it grows from there on.',
  },
  {
    bench: 'data',
    targets: ['at least 3 times as fast as json, rows dropped'],
    why: 'The peer parses and forgets; ours checks every row and keeps its columns.',
  },
  {
    bench: 'figures',
    targets: ['at most 400 MiB'],
    why: 'Of the peak some 130 MiB are columns, 100 MiB the heaps of two threads, 45 MiB pages of files, and the rest what malloc keeps of columns that are freed; where all blocks over 128 KiB are mapped by themselves the peak is 340 to 400 MiB, and the work slower.',
  },
  {
    bench: 'quantize',
    cases: 'ResNet-50',
    targets: ['at least 5 times'],
    why: 'The float model is run on the rows that ranges are chosen by, which the peer does as well: with the start of the program that alone takes about as long as a fifth of the time of the peer.',
  },
  {
    bench: 'quantize',
    cases: 'ResNet-50',
    targets: ['peak memory'],
    why: 'Two float sessions run at a time, in a process of their own beside the program.',
  },
  {
    bench: 'quantize',
    targets: ['flips'],
    why: 'A difference of three pairs of 564: flips come from near ties, and so few go by chance.',
  },
  {
    bench: 'quantize',
    cases: 'PP-OCRv4',
    targets: ['latency', 'at least 2'],
    why: 'The runtime has no fast kernel for convolutions that are quantized dynamically: either file is slower than float, which the report of ours says, and `--scheme auto` takes another.',
  },
  {
    bench: 'quantize',
    cases: 'PP-OCRv4',
    why: 'A model of 10 MiB: most of the time and the memory are the program and the process that runs the model.',
  },
  {
    bench: 'explain',
    targets: ['at least 1 times'],
    why: 'The gradient is a graph of operators of ONNX: the backward of softmax, norms and GELU takes several passes over memory, for which PyTorch has kernels of one.',
  },
  {
    bench: 'train',
    targets: ['a step'],
    why: 'The gradient is a graph of operators of ONNX: the backward of softmax, norms and GELU takes several passes over memory, for which PyTorch has kernels of one.',
  },
  {
    bench: 'train',
    targets: ['peak memory'],
    why: 'One graph holds forward and backward, and onnxruntime plans its memory for inference; which of the tensors could be let go sooner was not found out.',
  },
  {
    bench: 'families',
    targets: ['at least 2 times', 'at least 3 times', 'at least 1 times'],
    why: 'Products in float take most of the time, and reach what the processor can (Roofline under Quantizing to int8), as those of PyTorch do: what is left to gain stands around them.',
  },
  {
    bench: 'families',
    targets: ['peak memory'],
    why: 'A session for each core, each with its own packed weights, so that scores have the same bits on any number of cores.',
  },
  {
    bench: 'serve',
    why: 'The library is called in the process that measures it: HTTP, JSON and the queue of requests share the two cores with the model and with the client.',
  },
  {
    bench: 'stats',
    cases: 'Spearman',
    why: 'Ranking ten million numbers by radix goes by the memory of the machine: on another one (an Intel Xeon) it was 2.75 times.',
  },
  {
    bench: 'quantize',
    targets: ['SQNR'],
    why: 'The threshold of least divergence is looked for among all, and is not that of the least error: `mse`, the default, is the calibrator for that.',
  },
];

/** The first reason that holds for a target; undefined for none. */
export const reasonOf = (bench, name, { text }) =>
  REASONS.find(
    ({ bench: of, cases = '', targets = [''] }) =>
      of === bench && name.startsWith(cases) && targets.some((start) => text.startsWith(start)),
  )?.why;
