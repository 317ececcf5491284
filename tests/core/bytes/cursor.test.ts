import { describe, expect, it } from 'vitest';
import { SourceCursor } from '../../../src/core/bytes/cursor.js';
import { MemorySource } from '../../../src/core/bytes/source.js';

describe('SourceCursor', () => {
  it('reads numbers across the end of what it holds', () => {
    const bytes = Buffer.alloc(300_000, 7);
    for (const read of ['u8', 'u16', 'u32', 'i32', 'u64', 'f64BigEndian'] as const) {
      const cursor = new SourceCursor(new MemorySource(bytes, 'x'), bytes.length);
      cursor.advance(65_536 - (read === 'u8' ? 0 : 1));
      expect(() => cursor[read](), read).not.toThrow(RangeError);
    }
  });
});
