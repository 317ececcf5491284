import { basename, dirname } from 'node:path';
import type { InferenceSession, Tensor as OrtTensor } from 'onnxruntime-node';
import { HpsError } from '../errors.js';
import { CPU, type Device, formatDevice } from './device.js';
import { runtimeError } from './ort-errors.js';
import type { Session, SessionOptions, ValueInfo } from './session.js';
import { switchTelemetryOff } from './telemetry.js';
import type { TensorValue, ValueData, ValueDtype } from './value.js';

type Ort = typeof import('onnxruntime-node');

/** Only fatal messages: the others are thrown as well, and onnxruntime prints them with paths of the machine. */
const LOG_FATAL = 4;

const DTYPE_OF_ORT = {
  float64: 'F64',
  float32: 'F32',
  float16: 'F16',
  int64: 'I64',
  int32: 'I32',
  int16: 'I16',
  int8: 'I8',
  uint64: 'U64',
  uint32: 'U32',
  uint16: 'U16',
  uint8: 'U8',
  bool: 'BOOL',
} as const satisfies Partial<Record<OrtTensor.Type, ValueDtype>>;

const ORT_OF_DTYPE = new Map(
  Object.entries(DTYPE_OF_ORT).map(([ort, dtype]) => [dtype as ValueDtype, ort as OrtTensor.Type]),
);

/** A value in the memory of the device that computed it: of WebGPU where that is the device, else of the host. */
export interface DeviceValue {
  readonly shape: readonly number[];
  /** Gives the memory back; no session may be fed with the value afterwards. */
  release(): void;
}

/** A session in this thread: it can write into memory that the caller holds, and leave results where they are. */
export interface LocalSession extends Session {
  /**
   * As `run`, with feeds that other sessions on the same device have left there. What `resident` of the session's options names
   * stays there in turn, and belongs to the caller. A model that is fed from the host should have another output as well: on
   * WebGPU, memory of uploads piles up until a result is waited for.
   */
  runResident(
    feeds: ReadonlyMap<string, TensorValue | DeviceValue>,
  ): Promise<{ readonly values: Map<string, TensorValue>; readonly resident: Map<string, DeviceValue> }>;
  /** As `run`, for these outputs alone; each is written over the data of its value, whose shape must be the output's. */
  runInto(feeds: ReadonlyMap<string, TensorValue>, targets: ReadonlyMap<string, TensorValue>): Promise<void>;
}

/** onnxruntime-node, loaded on first use, never with its telemetry on. */
async function loadOrt(): Promise<Ort> {
  if (!switchTelemetryOff()) {
    throw new HpsError('BACKEND_UNAVAILABLE', 'onnxruntime would load into this worker thread with its telemetry on', {
      hint: 'Start the program with ORT_DISABLE_TELEMETRY=1 in its environment, or do this in the main thread.',
    });
  }
  try {
    const module = await import('onnxruntime-node');
    module.env.logLevel = 'fatal';
    return module;
  } catch (cause) {
    throw new HpsError('BACKEND_UNAVAILABLE', 'onnxruntime-node does not load on this machine', {
      hint: 'Run `npm ci` again on this platform; `hpsv3 doctor` tells what is missing.',
      cause,
    });
  }
}

/**
 * Loads the runtime, and tells its version: its results may differ from one to the next.
 * @throws HpsError BACKEND_UNAVAILABLE
 */
export async function loadRuntime(): Promise<string> {
  const { env } = await loadOrt();
  return env.versions.node ?? env.versions.common;
}

/**
 * Opens a model in this process. Only for models we made: one from a stranger belongs in a `ModelProcess`.
 * It is loaded by path, so that external data is found beside it.
 * @throws HpsError FILE_NOT_FOUND, ONNX_CORRUPT, ONNX_UNSAFE, ONNX_UNSUPPORTED or MODEL_OUT_OF_MEMORY; BACKEND_UNAVAILABLE
 *   where the device is not there
 */
export async function openSession(path: string, options: SessionOptions = {}): Promise<LocalSession> {
  const ort = await loadOrt();
  const file = basename(path);
  const started = performance.now();
  let session: InferenceSession;
  try {
    session = options.bytes
      ? await ort.InferenceSession.create(options.bytes, ortOptions(withFolder(options, dirname(path))))
      : await ort.InferenceSession.create(path, ortOptions(options));
  } catch (cause) {
    if (isDeviceMissing(cause)) throw deviceMissing(options.device ?? CPU, cause);
    throw runtimeError(cause, { file, folder: dirname(path), doing: 'load' });
  }
  const loadMs = performance.now() - started;
  const inputs = session.inputMetadata.map((info) => valueInfo(info, file));
  const outputs = session.outputMetadata.map((info) => valueInfo(info, file));
  const tensorsOf = (values: ReadonlyMap<string, TensorValue | DeviceValue>): Record<string, OrtTensor> => {
    const tensors = Object.create(null) as Record<string, OrtTensor>;
    for (const [name, value] of values)
      tensors[name] = value instanceof DeviceTensor ? value.tensor : toOrtTensor(ort, value as TensorValue);
    return tensors;
  };
  return {
    inputs,
    outputs,
    loadMs,
    async runInto(feeds, targets) {
      try {
        await session.run(tensorsOf(feeds), tensorsOf(targets));
      } catch (cause) {
        throw runtimeError(cause, { file, folder: dirname(path), doing: 'run' });
      }
    },
    async runResident(feeds) {
      try {
        const results = await session.run(tensorsOf(feeds));
        const stays = new Set(options.resident);
        const values = new Map<string, TensorValue>();
        const resident = new Map<string, DeviceValue>();
        for (const { name, dtype } of outputs) {
          const tensor = results[name] as OrtTensor;
          if (stays.has(name)) resident.set(name, new DeviceTensor(tensor));
          else values.set(name, fromOrtTensor(tensor, dtype));
        }
        return { values, resident };
      } catch (cause) {
        throw runtimeError(cause, { file, folder: dirname(path), doing: 'run' });
      }
    },
    async run(feeds) {
      try {
        const results = await session.run(tensorsOf(feeds));
        return new Map(outputs.map(({ name, dtype }) => [name, fromOrtTensor(results[name] as OrtTensor, dtype)]));
      } catch (cause) {
        throw runtimeError(cause, { file, folder: dirname(path), doing: 'run' });
      }
    },
    async release() {
      // Writes the trace; it returns nothing, whatever its types say.
      if (options.tracePrefix !== undefined) session.endProfiling();
      await session.release();
    },
  };
}

class DeviceTensor implements DeviceValue {
  constructor(readonly tensor: OrtTensor) {}

  get shape(): readonly number[] {
    return this.tensor.dims;
  }

  release(): void {
    this.tensor.dispose();
  }
}

/** A model that comes as bytes has no folder of its own to look for external data in. */
const withFolder = (options: SessionOptions, folder: string): SessionOptions => ({
  ...options,
  config: { ...options.config, 'session.model_external_initializers_file_folder_path': folder },
});

function ortOptions(options: SessionOptions): InferenceSession.SessionOptions {
  const { device = CPU, optimization = 'all', threads, memoryPattern, config, tracePrefix } = options;
  return {
    executionProviders: [providerOf(device)],
    graphOptimizationLevel: optimization,
    logSeverityLevel: LOG_FATAL,
    ...residence(options),
    ...(threads === undefined ? {} : { intraOpNumThreads: threads, interOpNumThreads: 1 }),
    ...(memoryPattern === undefined ? {} : { enableMemPattern: memoryPattern }),
    ...(config === undefined ? {} : { extra: config }),
    ...(tracePrefix === undefined ? {} : { enableProfiling: true, profileFilePrefix: tracePrefix }),
  };
}

/** Only WebGPU's memory can be reached from here: onnxruntime-node hands out no CUDA memory, and that of the processor is the host's. */
const residence = ({
  device,
  resident,
}: SessionOptions): Pick<InferenceSession.SessionOptions, 'preferredOutputLocation'> =>
  device?.kind === 'webgpu' && resident
    ? { preferredOutputLocation: Object.fromEntries(resident.map((name) => [name, 'gpu-buffer'] as const)) }
    : {};

/** Nodes a provider lacks run on the processor, which onnxruntime always adds. */
const providerOf = (device: Device): InferenceSession.ExecutionProviderConfig =>
  device.kind === 'cuda' ? { name: 'cuda', deviceId: device.index } : device.kind;

/** How providers say that their library, driver or adapter is not there. */
const DEVICE_MISSING =
  /AppendExecutionProvider|failed to load (?:shared )?library|no supported adapters|WebGPU adapter|CUDA (?:failure|error)|invalid device|execution provider is not (?:enabled|supported|available)|backend not found/i;

const isDeviceMissing = (cause: unknown): boolean => cause instanceof Error && DEVICE_MISSING.test(cause.message);

function deviceMissing(device: Device, cause: unknown): HpsError {
  return new HpsError('BACKEND_UNAVAILABLE', `device ${formatDevice(device)} is not available on this machine`, {
    hint: 'Choose `device` cpu, or `device` auto to take what there is; `hpsv3 doctor` tells what is missing.',
    details: { device: formatDevice(device) },
    cause,
  });
}

function valueInfo(info: InferenceSession.ValueMetadata, file: string): ValueInfo {
  const dtype =
    info.isTensor && Object.hasOwn(DTYPE_OF_ORT, info.type)
      ? DTYPE_OF_ORT[info.type as keyof typeof DTYPE_OF_ORT]
      : null;
  if (info.isTensor && dtype) return { name: info.name, dtype, shape: info.shape };
  throw new HpsError('ONNX_UNSUPPORTED', `${file}: ${info.name} is ${info.isTensor ? info.type : 'not a tensor'}`, {
    hint: 'Inputs and outputs must be tensors of numbers.',
    details: { file, value: info.name },
  });
}

function toOrtTensor(ort: Ort, { dtype, shape, data }: TensorValue): OrtTensor {
  const type = ORT_OF_DTYPE.get(dtype);
  if (!type) throw new RangeError(`onnxruntime takes no ${dtype}`);
  return new ort.Tensor(type, data as never, shape as number[]);
}

function fromOrtTensor(tensor: OrtTensor, dtype: ValueDtype): TensorValue {
  const { buffer, byteOffset, byteLength } = tensor.data as ValueData;
  // Where the engine has Float16Array, float16 comes as that; ours are bits.
  const data =
    dtype === 'F16' ? new Uint16Array(buffer as ArrayBuffer, byteOffset, byteLength / 2) : (tensor.data as ValueData);
  return { dtype, shape: tensor.dims, data };
}
