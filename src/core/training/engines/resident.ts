import { withOutputs } from '../../autodiff/emitter.js';
import { formatDevice } from '../../runtime/device.js';
import type { DeviceValue } from '../../runtime/ort.js';
import type { TensorValue } from '../../runtime/value.js';
import type { EngineOptions } from './engine.js';
import { type BoundLossModel, differentiate, openOnDevice } from './onnxruntime.js';

/** A gradient session that neither takes parameters from the host nor brings gradients to it. */
export interface ResidentSession {
  readonly device: string;
  readonly inputs: readonly string[];
  /** As `GradientSession.run`; the gradients stay on the device and belong to the caller. */
  run(feeds: ReadonlyMap<string, TensorValue | DeviceValue>): Promise<ResidentStep>;
  release(): Promise<void>;
}

export interface ResidentStep {
  readonly outputs: ReadonlyMap<string, TensorValue>;
  readonly gradients: ReadonlyMap<string, DeviceValue>;
}

/** As `TrainingEngine.open` of onnxruntime. */
export async function openResidentSession(model: BoundLossModel, options: EngineOptions): Promise<ResidentSession> {
  const { graph, outputs, gradients } = await differentiate(model);
  const names = [...gradients.values()];
  const { session, device } = await openOnDevice(withOutputs(graph, [...outputs, ...names]).model, options, names);
  return {
    device: formatDevice(device),
    inputs: session.inputs.map(({ name }) => name),
    async run(feeds) {
      const { values, resident } = await session.runResident(feeds);
      return {
        outputs: values,
        gradients: new Map(Array.from(gradients, ([parameter, name]) => [parameter, resident.get(name)!])),
      };
    },
    release: () => session.release(),
  };
}
