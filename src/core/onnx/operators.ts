import { OPERATOR_TABLE } from './operator-table.js';

/** One form of an operator, valid from an opset on until the next form. */
export interface OperatorForm {
  readonly since: number;
  readonly deprecated: boolean;
  readonly minInputs: number;
  readonly maxInputs: number;
  readonly maxOutputs: number;
  readonly attributes: ReadonlySet<string>;
  /** For each input, bit n is set where `TensorProto.DataType` n is allowed. The last one holds for all further inputs. */
  readonly inputTypes: readonly number[];
}

/** `ai.onnx` is another name of the standard domain. */
export const normalDomain = (domain: string | undefined): string => (domain === 'ai.onnx' ? '' : (domain ?? ''));

const LINE = /^([+-])(\S+) (\d+) (\d+)\.\.(\S+) (\S+) \[(.*)\] ?(.*)$/;
const count = (text: string): number => (text === '*' ? Number.POSITIVE_INFINITY : Number(text));

/** domain -> operator -> forms, oldest first; parsed on first use. */
let table: Map<string, Map<string, OperatorForm[]>> | undefined;

function parseTable(): Map<string, Map<string, OperatorForm[]>> {
  const domains = new Map<string, Map<string, OperatorForm[]>>();
  let operators = new Map<string, OperatorForm[]>();
  for (const line of OPERATOR_TABLE.trim().split('\n')) {
    if (line.startsWith('@')) {
      operators = new Map();
      domains.set(line.slice(1), operators);
      continue;
    }
    const match = LINE.exec(line);
    if (match === null) throw new RangeError(`not a line of the operator table: ${line}`);
    const [, sign, name, since, min, max, outputs, attributes, types] = match;
    const form: OperatorForm = {
      since: Number(since),
      deprecated: sign === '-',
      minInputs: Number(min),
      maxInputs: count(max),
      maxOutputs: count(outputs),
      attributes: new Set(attributes === '' ? [] : attributes.split(',')),
      inputTypes: types === '' ? [] : types.split(',').map((mask) => Number.parseInt(mask, 16)),
    };
    const forms = operators.get(name);
    if (forms) forms.push(form);
    else operators.set(name, [form]);
  }
  return domains;
}

/** Every form of an operator, oldest first; empty where the domain has no such operator, undefined where we have no table of the domain. */
export function operatorForms(domain: string | undefined, opType: string): readonly OperatorForm[] | undefined {
  table ??= parseTable();
  const operators = table.get(normalDomain(domain));
  return operators && (operators.get(opType) ?? []);
}

/** The form that holds at an opset, or undefined where the operator does not exist yet. */
export const formAt = (forms: readonly OperatorForm[], opset: number): OperatorForm | undefined =>
  forms.findLast(({ since }) => since <= opset);
