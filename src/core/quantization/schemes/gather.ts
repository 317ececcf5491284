import { DATA_TYPE, intAttribute, intOf, type NodeProto } from '../../onnx/model.js';
import { isOp } from '../../onnx/passes/uses.js';
import type { GraphEdit } from '../graph-edit.js';
import { quantizedWeight } from '../kernels/int8-weight.js';
import { floats } from '../tensors.js';
import { paysOff, scaleWeight } from '../weights.js';
import { nodeLabel, type SchemeRequest } from './scheme.js';

/**
 * Tables of embeddings [entries, width] as int8, a scale an entry: only the rows looked up are turned into float, so that the
 * table stays small in memory too, and a row's result depends on nothing else. Operators of every opset.
 */
export class GatherRewriter {
  private readonly tables = new Map<string, { values: string; scales: string } | string>();

  constructor(
    private readonly edit: GraphEdit,
    private readonly request: Pick<SchemeRequest, 'exclude'>,
  ) {}

  /** Whether a node looks up rows of a constant table. */
  reads(node: NodeProto): boolean {
    const table = isOp(node, 'Gather') ? this.edit.constants.get(node.input[0]) : undefined;
    return table?.dims.length === 2 && intOf(node, 'axis', 0) === 0;
  }

  /** Appends the int8 form of such a node; or says why it has none. */
  async rewrite(node: NodeProto): Promise<string | undefined> {
    const why = this.request.exclude(node);
    if (why !== undefined) return why;
    const [name, indices] = node.input;
    const table = this.tables.get(name) ?? (await this.makeTable(name));
    this.tables.set(name, table);
    if (typeof table === 'string') return table;
    const { edit } = this;
    const label = nodeLabel(node);
    const rows = edit.node('Gather', [table.values, indices], edit.freshName(`${label}.rows`));
    const scales = edit.node('Gather', [table.scales, indices], edit.freshName(`${label}.scales`));
    const floatRows = edit.node('Cast', [rows], edit.freshName(`${label}.float`), {
      attribute: [intAttribute('to', DATA_TYPE.FLOAT)],
    });
    edit.node('Mul', [floatRows, scales], node.output[0], { name: node.name });
    edit.retire(name);
    return undefined;
  }

  private async makeTable(name: string): Promise<{ values: string; scales: string } | string> {
    const { edit } = this;
    const proto = edit.constants.get(name)!;
    if (!paysOff(proto, proto.dims[0])) return 'its weight is too small to gain from int8';
    const scaled = await scaleWeight(proto, { axis: 0 });
    if (typeof scaled === 'string') return scaled;
    const { tensor, layout, scales } = scaled;
    return {
      values: edit.initializer(quantizedWeight(edit.freshName(`${name}.rows`), tensor, layout, scales)),
      scales: edit.initializer(floats(edit.freshName(`${name}.row_scales`), [scales.length, 1], scales)),
    };
  }
}
