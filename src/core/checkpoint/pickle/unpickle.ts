import type { ByteCursor } from '../../bytes/cursor.js';
import { corruptFile, unsafeFile } from '../../bytes/refusal.js';
import { LIMITS } from '../../limits.js';
import { OPCODES, type Opcode } from './opcodes.js';
import { PickleDict, PickleList, PickleTuple, type PickleValue } from './values.js';

/** What a pickle may name and what its calls mean. Each method refuses what it does not know, by an HpsError of exit code 5. */
export interface PickleVocabulary {
  lookUp(module: string, name: string): PickleValue;
  call(callable: PickleValue, args: PickleTuple): PickleValue;
  /** Puts state on an object that has been made: for most, nothing. */
  build(object: PickleValue, state: PickleValue): void;
  resolvePersistentId(id: PickleValue): PickleValue;
}

/**
 * Reads one pickle (protocols 2 to 5) from the cursor to its STOP, as inert data: nothing is imported or executed.
 * @throws HpsError CHECKPOINT_CORRUPT for a broken pickle, CHECKPOINT_UNSAFE for one that asks for more than data
 * @see https://github.com/python/cpython/blob/3.12/Lib/pickletools.py for the opcodes
 */
export function unpickle(cursor: ByteCursor, vocabulary: PickleVocabulary): PickleValue {
  return new Unpickler(cursor, vocabulary).run();
}

class Unpickler {
  private readonly stack: PickleValue[] = [];
  /** Heights of the stack at each MARK still open. */
  private readonly marks: number[] = [];
  readonly memo = new Map<number, PickleValue>();

  constructor(
    readonly cursor: ByteCursor,
    readonly vocabulary: PickleVocabulary,
  ) {}

  run(): PickleValue {
    for (let count = 0; count < LIMITS.pickleOpcodes; count++) {
      const offset = this.cursor.offset;
      const code = this.cursor.u8();
      if (count === 0 && code !== 0x80)
        throw this.corrupt('the pickle does not start with a protocol (text pickles are not read)');
      const opcode = OPCODES[code];
      if (opcode === undefined)
        throw this.unsafe(`pickle opcode 0x${code.toString(16)} at byte ${offset} is not allowed`);
      if (opcode === 'STOP') return this.finish();
      STEPS[opcode](this);
      if (this.stack.length > LIMITS.pickleStack)
        throw this.unsafe(`the pickle stacks over ${LIMITS.pickleStack} values`);
    }
    throw this.unsafe(`the pickle has over ${LIMITS.pickleOpcodes} opcodes`);
  }

  private finish(): PickleValue {
    const value = this.pop();
    if (this.stack.length > 0 || this.marks.length > 0)
      throw this.corrupt(`the pickle stops with ${this.stack.length} values left over`);
    return value;
  }

  checkProtocol(protocol: number): void {
    if (protocol < 2 || protocol > 5) throw this.corrupt(`pickle protocol ${protocol} is not one of 2 to 5`);
  }

  setMark(): void {
    this.marks.push(this.stack.length);
  }

  /** Frames only help a reader that buffers; their length is bounded all the same. */
  checkFrame(length: number): void {
    if (length > LIMITS.pickleBytes) throw this.unsafe(`a pickle frame states ${length} bytes`);
  }

  push(value: PickleValue): void {
    this.stack.push(value);
  }

  /** A value above the last mark; reaching through a mark is an underflow. */
  pop(): PickleValue {
    const value = this.top();
    this.stack.pop();
    return value;
  }

  top(): PickleValue {
    if (this.stack.length <= (this.marks.at(-1) ?? 0))
      throw this.corrupt('the pickle takes a value from an empty stack');
    return this.stack[this.stack.length - 1];
  }

  popMany(count: number): PickleValue[] {
    const values: PickleValue[] = [];
    for (let i = 0; i < count; i++) values.unshift(this.pop());
    return values;
  }

  popMark(): PickleValue[] {
    const mark = this.marks.pop();
    if (mark === undefined) throw this.corrupt('the pickle closes a mark it never set');
    return this.stack.splice(mark);
  }

  append(values: readonly PickleValue[]): void {
    const list = this.top();
    if (!(list instanceof PickleList)) throw this.unsafe('the pickle appends to something that is no list');
    for (const value of values) list.items.push(value);
  }

  setItems(values: readonly PickleValue[]): void {
    const dict = this.top();
    if (!(dict instanceof PickleDict)) throw this.unsafe('the pickle sets items of something that is no dict');
    if (values.length % 2 !== 0) throw this.corrupt('the pickle sets an item without a value');
    for (let i = 0; i < values.length; i += 2) dict.entries.set(values[i], values[i + 1]);
  }

  lookUpFromStack(): PickleValue {
    const [module, name] = this.popMany(2);
    if (typeof module !== 'string' || typeof name !== 'string')
      throw this.unsafe('the pickle looks up a name that is not text');
    return this.vocabulary.lookUp(module, name);
  }

  call(): PickleValue {
    const [callable, args] = this.popMany(2);
    if (!(args instanceof PickleTuple)) throw this.corrupt('the pickle calls something with no tuple of arguments');
    return this.vocabulary.call(callable, args);
  }

  build(): void {
    const state = this.pop();
    this.vocabulary.build(this.top(), state);
  }

  memoize(index: number): void {
    if (this.memo.size >= LIMITS.pickleMemo) throw this.unsafe(`the pickle remembers over ${LIMITS.pickleMemo} values`);
    this.memo.set(index, this.top());
  }

  recall(index: number): PickleValue {
    const value = this.memo.get(index);
    if (value === undefined) throw this.corrupt(`the pickle recalls value ${index}, which it never stored`);
    return value;
  }

  /** A two's complement integer of `length` bytes; a number where that is exact. */
  long(length: number): number | bigint {
    if (length < 0 || length > LIMITS.pickleLongBytes)
      throw this.unsafe(`an integer of the pickle takes ${length} bytes`);
    let value = 0n;
    for (const [i, byte] of this.cursor.take(length).entries()) value |= BigInt(byte) << BigInt(8 * i);
    value = BigInt.asIntN(8 * length, value);
    return Number.isSafeInteger(Number(value)) ? Number(value) : value;
  }

  raw(length: number): Uint8Array {
    if (length > LIMITS.pickleStringBytes) throw this.unsafe(`a string of the pickle takes ${length} bytes`);
    return this.cursor.take(length);
  }

  text(length: number): string {
    return this.decode(this.raw(length));
  }

  /** A line of a GLOBAL: up to the next line feed. */
  line(): string {
    const start = this.cursor.offset;
    let length = 0;
    while (this.cursor.u8() !== 0x0a) {
      if (++length > LIMITS.tensorNameLength) throw this.unsafe('a pickle looks up a name that is far too long');
    }
    return this.decode(this.cursor.bytes.subarray(start, start + length));
  }

  private decode(bytes: Uint8Array): string {
    try {
      return UTF8.decode(bytes);
    } catch {
      throw this.corrupt(`text before byte ${this.cursor.offset} of the pickle is not UTF-8`);
    }
  }

  corrupt(rule: string): Error {
    return corruptFile(this.cursor.name, rule);
  }

  unsafe(rule: string): Error {
    return unsafeFile(this.cursor.name, rule);
  }
}

/** What each opcode does. */
const STEPS: Readonly<Record<Exclude<Opcode, 'STOP'>, (machine: Unpickler) => void>> = {
  PROTO: (m) => m.checkProtocol(m.cursor.u8()),
  FRAME: (m) => m.checkFrame(m.cursor.u64()),
  MARK: (m) => m.setMark(),
  POP: (m) => m.pop(),
  POP_MARK: (m) => m.popMark(),

  NONE: (m) => m.push(null),
  NEWTRUE: (m) => m.push(true),
  NEWFALSE: (m) => m.push(false),
  BININT: (m) => m.push(m.cursor.i32()),
  BININT1: (m) => m.push(m.cursor.u8()),
  BININT2: (m) => m.push(m.cursor.u16()),
  LONG1: (m) => m.push(m.long(m.cursor.u8())),
  LONG4: (m) => m.push(m.long(m.cursor.i32())),
  BINFLOAT: (m) => m.push(m.cursor.f64BigEndian()),

  SHORT_BINSTRING: (m) => m.push(m.text(m.cursor.u8())),
  SHORT_BINUNICODE: (m) => m.push(m.text(m.cursor.u8())),
  BINSTRING: (m) => m.push(m.text(m.cursor.u32())),
  BINUNICODE: (m) => m.push(m.text(m.cursor.u32())),
  BINUNICODE8: (m) => m.push(m.text(m.cursor.u64())),
  SHORT_BINBYTES: (m) => m.push(m.raw(m.cursor.u8())),
  BINBYTES: (m) => m.push(m.raw(m.cursor.u32())),
  BINBYTES8: (m) => m.push(m.raw(m.cursor.u64())),
  BYTEARRAY8: (m) => m.push(m.raw(m.cursor.u64())),

  EMPTY_TUPLE: (m) => m.push(new PickleTuple([])),
  TUPLE: (m) => m.push(new PickleTuple(m.popMark())),
  TUPLE1: (m) => m.push(new PickleTuple(m.popMany(1))),
  TUPLE2: (m) => m.push(new PickleTuple(m.popMany(2))),
  TUPLE3: (m) => m.push(new PickleTuple(m.popMany(3))),
  EMPTY_LIST: (m) => m.push(new PickleList()),
  EMPTY_SET: (m) => m.push(new PickleList()),
  FROZENSET: (m) => m.push(new PickleList(m.popMark())),
  APPEND: (m) => m.append(m.popMany(1)),
  APPENDS: (m) => m.append(m.popMark()),
  ADDITEMS: (m) => m.append(m.popMark()),
  EMPTY_DICT: (m) => m.push(new PickleDict()),
  SETITEM: (m) => m.setItems(m.popMany(2)),
  SETITEMS: (m) => m.setItems(m.popMark()),

  BINPUT: (m) => m.memoize(m.cursor.u8()),
  LONG_BINPUT: (m) => m.memoize(m.cursor.u32()),
  MEMOIZE: (m) => m.memoize(m.memo.size),
  BINGET: (m) => m.push(m.recall(m.cursor.u8())),
  LONG_BINGET: (m) => m.push(m.recall(m.cursor.u32())),

  GLOBAL: (m) => m.push(m.vocabulary.lookUp(m.line(), m.line())),
  STACK_GLOBAL: (m) => m.push(m.lookUpFromStack()),
  REDUCE: (m) => m.push(m.call()),
  NEWOBJ: (m) => m.push(m.call()),
  BUILD: (m) => m.build(),
  BINPERSID: (m) => m.push(m.vocabulary.resolvePersistentId(m.pop())),
};

const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
