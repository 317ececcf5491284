import { isMainThread } from 'node:worker_threads';

const VARIABLE = 'ORT_DISABLE_TELEMETRY';

/**
 * Switches the telemetry of onnxruntime off for this process, before its library loads: the library reads the environment of the
 * process then. It has no option for this in its JavaScript API (1.30).
 *
 * @returns whether it is off; false only in a worker thread of a program that has not switched it off itself
 */
export function switchTelemetryOff(): boolean {
  if (isMainThread) process.env[VARIABLE] = '1';
  return telemetryIsOff();
}

/**
 * Whether the environment of this process, as its native libraries see it, switches the telemetry off. `process.env` cannot tell in
 * a worker thread: it is a copy there, and what is set in it never reaches a library.
 */
export function telemetryIsOff(): boolean {
  if (isMainThread) return process.env[VARIABLE] === '1';
  const { excludeNetwork } = process.report as { excludeNetwork?: boolean };
  Object.assign(process.report, { excludeNetwork: true }); // names of hosts may be looked up otherwise
  const { environmentVariables } = process.report.getReport() as { environmentVariables?: Record<string, string> };
  Object.assign(process.report, { excludeNetwork });
  return environmentVariables?.[VARIABLE] === '1';
}
