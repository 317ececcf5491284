/**
 * Every bound on what is read from a file, in one place, each with its reason.
 * A number that comes from a file is compared with one of these before anything is allocated or looped over.
 */
const KiB = 1024;
const MiB = 1024 * KiB;
const GiB = 1024 * MiB;

export const LIMITS = {
  /** Bytes looked at to recognise a format; enough for a zip, pickle, safetensors, npy or JSON opening. */
  sniffBytes: 4096,
  /** Size of one piece when weights flow from file to file; large enough for full disk speed, small enough to hold several. */
  chunkBytes: 4 * MiB,

  /** safetensors: the reference implementation caps the header at 100 MB. */
  safetensorsHeaderBytes: 100_000_000,
  /** Tensors in one checkpoint. The largest public models have about a hundred thousand. */
  tensors: 250_000,
  /** Dimensions of a tensor. NumPy allows 64, torch 64, ONNX runtimes far fewer. */
  tensorRank: 64,
  /** Characters in a tensor name. */
  tensorNameLength: 4096,

  /** A tensor that repeats its storage (stride 0): bytes once written out. */
  expandedTensorBytes: 1 * GiB,

  /** Pickle: fickling's limits. A state dict of 10,000 tensors takes some 400,000 opcodes. */
  pickleOpcodes: 1_000_000,
  pickleMemo: 1_000_000,
  pickleStack: 1_000_000,
  pickleDepth: 1000,
  /** Bytes of the pickle stream itself (weights lie outside it). */
  pickleBytes: 256 * MiB,
  /** One string, or one byte string, inside a pickle. */
  pickleStringBytes: 16 * MiB,
  /** Bytes of one LONG; torch's legacy magic number takes 10. */
  pickleLongBytes: 64,

  /** zip: entries, ratio of a compressed entry, bytes of a compressed entry once unpacked. */
  zipEntries: 100_000,
  zipRatio: 100,
  /** Below this size a high ratio is only a small file of zeros. */
  zipRatioFromBytes: 1 * MiB,
  zipDirectoryBytes: 64 * MiB,
  zipInflatedBytes: 4 * GiB,

  /** npy: magic, version and header; NumPy itself reads headers of up to 10,000 bytes. */
  npyHeaderBytes: 10_016,

  /** JSON documents (configs, index files, manifests, tokenizers): bytes and nesting. */
  jsonBytes: 100 * MiB,
  jsonDepth: 64,
  /** Values in one JSON document: twice what the largest tokenizers or a safetensors header of `tensors` entries hold. */
  jsonValues: 4_000_000,
  /** A configuration file; hand-written, so small. */
  configBytes: 1 * MiB,
  /** Words and signs in it: five a line of key and value, and a list of the 21,000 classes of ImageNet takes 110,000. */
  configTokens: 250_000,
  /** A calibrator file: some 40 kB a group. */
  calibratorBytes: 64 * MiB,
  /** A profile: some 300 bytes a kernel, and models have thousands. */
  profileBytes: 64 * MiB,
  /** A report of ours: some 4 kB a group of an evaluation. */
  reportBytes: 64 * MiB,
  /** JSON files of one folder that a summary looks into. */
  runReports: 1000,
  /** A model, and a file of scores or labels, that a card's folder takes a copy of; a larger one is bound by its hash. */
  cardModelBytes: 64 * MiB,
  cardRowsBytes: 256 * MiB,
  /** Elements of a string tensor that is stepped over; each is a read of its own. */
  stringElements: 100_000,
  /** Shards named by one index. */
  shards: 10_000,

  /** ONNX: nodes in all graphs together, subgraph nesting, bytes of the protobuf around the weights. */
  onnxNodes: 1_000_000,
  onnxDepth: 64,
  onnxStructureBytes: 384 * MiB,
  /** protobuf cannot hold more in one message; above it weights go to external data. */
  onnxFileBytes: 2 * GiB - 1,

  /** Label and sample rows. By the first bytes of a file its format is told: the header of a wide table fits in. */
  rowsSniffBytes: 64 * KiB,
  rowBytes: 8 * MiB,
  /** Files in a folder of items; each takes some 200 bytes of memory. */
  itemFiles: 5_000_000,
  rowDepth: 64,
  /** A compressed file of rows: bytes inflated for each byte read, once it is large. Text of many equal rows comes to some 100. */
  rowsRatio: 250,
  rowsInflatedFromBytes: 256 * MiB,
  /** Columns of a table, and parts of them in the schema of a Parquet file: votes are the most of them. */
  columns: 10_000,
  /** Votes on one row, and `label1…` columns of a CSV. */
  votes: 1024,
  /** Pictures of one item: more are not looked at together. */
  imagesPerItem: 16,
  /** Items of one prompt that votes connect: `select` keeps a covariance of every two, and changes them all with each vote. */
  comparedItems: 1024,
  /** Parquet: bytes of the footer (some 30,000 column chunks), bytes of an inflated page, its values, rows times columns of a row group. */
  parquetFooterBytes: 8 * MiB,
  parquetPageBytes: 64 * MiB,
  /** Values of one page: writers end a page at some MB or 20,000 rows, or at a group of a million rows that are all the same. */
  parquetPageValues: 4_000_000,
  parquetGroupCells: 50_000_000,
  /** A row group is held in memory as a whole: one of a thousand pictures has some 500 MB. */
  parquetGroupBytes: 2 * GiB,

  /** Values of one input made of one item: a picture of 4096 x 4096, or 200 MB as float32. */
  inputValues: 3 * 4096 * 4096,
  /** One picture: bytes of its file, and pixels once decoded (120 MB as RGB). */
  imageBytes: 20_000_000,
  imagePixels: 40_000_000,
  /** One text: what goes on beyond is cut off before it is tokenized. */
  textCharacters: 100_000,
  /** Ids of one tokenizer: the largest vocabularies have some 300,000 tokens. */
  tokenIds: 16_777_215,
  /** Wall time of one text tokenized, some hundred times what it takes; patterns of a tokenizer.json can go on for ever. */
  tokenizeMs: { base: 2000, perCharacter: 0.2 },
  /** One recording: bytes of its file (30 s of 8 channels at 96 kHz in 32 bits), channels, and samples a second. */
  audioBytes: 100_000_000,
  audioChannels: 64,
  audioRate: { lowest: 1000, highest: 192_000 },
  audioSeconds: 30,
  /** One clip: bytes of its file, its length, and its frames as decoded. */
  videoBytes: 200_000_000,
  /** The labeller as one file: media in base64. Browsers open some hundreds of megabytes, slowly. */
  offlinePageBytes: 200_000_000,
  videoSeconds: 10,
  videoFrames: 10_000,
  /** Wall time of the program that decodes one clip. */
  videoDecodeMs: 60_000,

  /** An item scored in windows: bytes of its file, its length, its frames as decoded, and its windows, each of which the result names. */
  windowedBytes: 64 * GiB,
  windowedSeconds: 6 * 3600,
  windowedFrames: 5_500_000,
  windows: 20_000,
  /** Windows that overlap at any moment: their frames are held in memory. */
  windowOverlap: 32,
  /** How long the program that decodes may take for its next frame: what lies between two that are looked for. */
  windowStallMs: 300_000,

  /** One fetched file: its bytes, the time for all of it, the redirects followed, and characters of its address. */
  remoteBytes: 20_000_000,
  remoteMs: 10_000,
  remoteRedirects: 3,
  /** All tries share `remoteMs`. */
  remoteTries: 3,
  remoteBackoffMs: 250,
  /** A host that asks for a longer wait is not tried again: rows wait for it. */
  remoteRetryAfterMs: 5000,
  remoteAddressLength: 8192,
  /** Files fetched at a time: more would only share the line, and hold `remoteBytes` each. */
  remoteConnections: 8,
  /** `batch --preload`: media held before their turn, as they are on the disk; rows they belong to; files read or fetched at a time. */
  readAheadBytes: 256 * MiB,
  rowsAhead: 4096,
  /** 50 ms from a host, 600 files a second still come. */
  readsAhead: 32,
  /** For one of the files that are fetched ahead, which share a line: each takes as long as all of them together, and nobody waits for it. */
  remoteAheadMs: 300_000,
  /** Fetched files kept on the disk for rows that name them again. */
  remoteStoreBytes: 1 * GiB,
  remoteStoreFiles: 100_000,
  /** What is read of an answer that is not the file. */
  remoteErrorBytes: 16 * KiB,

  /** Checkpoints on other machines: bytes of one ranged request, and of those asked for ahead of their turn. */
  hubWindowBytes: 8 * MiB,
  hubWindowsAhead: 2,
  /** Fetched bytes kept for those who read them again: a matrix that is transposed in strips is read once a strip. */
  hubKeptBytes: 192 * MiB,
  /** Ranges asked for at a time where many small ones are needed. */
  hubConnections: 8,
  /** A file that is fetched whole where a host does not know ranges; and one that is small enough to be fetched whole at once. */
  hubUnrangedBytes: 64 * MiB,
  hubSmallBytes: 8 * MiB,
  /** One answer of the Hub that is no file: a page of a list. */
  hubAnswerBytes: 32 * MiB,
  hubFiles: 20_000,
  /** Milliseconds for a connection, and for a host to go on with an answer. */
  hubConnectMs: 15_000,
  hubStallMs: 60_000,
  /** Tries without a byte gained; waits between them double, and are no shorter than the host asks for. */
  hubTries: 6,
  hubRetryAfterMs: 120_000,
  hubRedirects: 5,

  /** Training in many processes: how long the others are waited for, one message, and floats of a gradient in one piece. */
  rankWaitMs: 300_000,
  rankMessageBytes: 64 * MiB,
  rankPieceFloats: 65_536,

  /** Members of one ensemble: more than anybody runs, few enough for a fit to stay fast. */
  ensembleMembers: 64,

  /** A model run in a child process on inputs we chose: wall time of one run, and resident memory. Both grow with the file, see there. */
  modelRunMs: 60_000,
  modelMemoryBytes: 2 * GiB,
  /** A model that scores: what it may take beyond what the sizes of its files and inputs explain (see `runtime/model-limits.ts`). */
  scoringMemoryBytes: 256 * MiB,
  scoringProcessorMs: 1000,
  /** Outputs of one run that are taken over from that process. */
  modelOutputBytes: 1 * GiB,
  /** One input or output in a golden file: it is read into memory. */
  goldenTensorBytes: 1 * GiB,
} as const;
