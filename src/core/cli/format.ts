export * from '../bytes/format.js';
