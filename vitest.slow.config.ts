import { defineConfig, mergeConfig } from 'vitest/config';
import base from './vitest.config.js';

const slow = mergeConfig(base, defineConfig({ test: { testTimeout: 3_600_000, hookTimeout: 600_000 } }));
slow.test!.include = ['tests/**/*.slow.test.ts'];
slow.test!.exclude = ['node_modules/**'];
export default slow;
