// A check is a sentence and an async function that gives true. What it throws, or a deadline, is a failure.

import { isDeepStrictEqual } from "node:util";

const DEADLINE = 20_000;

export class Checks {
  passed = 0;
  failed = 0;

  async check(sentence, run) {
    let timer;
    const late = new Promise((_, reject) => {
      timer = setTimeout(() => reject(new Error("it took too long")), DEADLINE);
    });
    try {
      const verdict = await Promise.race([run(), late]);
      if (verdict !== true) throw new Error(`got ${JSON.stringify(verdict)}`);
      this.passed += 1;
      console.log(`ok      ${sentence}`);
    } catch (error) {
      this.failed += 1;
      console.log(`FAILED  ${sentence}: ${error.message}`);
    } finally {
      clearTimeout(timer);
    }
  }

  // The exit code.
  report() {
    console.log(`\n${this.passed} passed, ${this.failed} failed`);
    return this.failed ? 1 : 0;
  }
}

// True, or what was got instead.
export function same(got, wanted) {
  return isDeepStrictEqual(got, wanted) || { got, wanted };
}

// The error that a promise is rejected with.
export async function rejection(promise) {
  let value;
  try {
    value = await promise;
  } catch (error) {
    return error;
  }
  throw new Error(`expected an error, got ${JSON.stringify(value)}`);
}
