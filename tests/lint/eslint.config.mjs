// Which rules the JavaScript keeps: src/client runs in old browsers, unbuilt; tests/e2e runs in Node and, inside page.evaluate(), in Chromium.
import js from '@eslint/js';
import globals from 'globals';

const rules = {
  ...js.configs.recommended.rules,
  'array-callback-return': 'error',
  camelcase: ['error', { properties: 'never', ignoreDestructuring: true }],
  'default-case-last': 'error',
  eqeqeq: ['error', 'always', { null: 'ignore' }],
  'no-implicit-globals': 'error',
  'no-empty': ['error', { allowEmptyCatch: true }],
  'no-shadow': ['error', { allow: ['upload'] }], // the function and what it is about
  'no-throw-literal': 'error',
  'no-unused-vars': ['error', { caughtErrors: 'none', ignoreRestSiblings: true }],
  'no-unused-expressions': ['error', { allowShortCircuit: true, allowTernary: true }],
  'no-use-before-define': ['error', { functions: false }],
  'require-atomic-updates': 'off', // it takes each assignment behind an await for a race
};

export default [
  { linterOptions: { reportUnusedDisableDirectives: 'error' } },
  {
    files: ['**/src/client/*.js'],
    languageOptions: { ecmaVersion: 5, sourceType: 'script', globals: { ...globals.browser, Postern: 'readonly', globalThis: 'readonly', Uint8Array: 'readonly', Int32Array: 'readonly', Uint32Array: 'readonly' } }, // not in old browsers: asked for first
    rules: { ...rules, 'no-useless-escape': 'off' }, // old parsers want \/ within [] too
  },
  {
    files: ['**/src/client/*.mjs'],
    languageOptions: { ecmaVersion: 2020, sourceType: 'module', globals: globals.browser },
    rules,
  },
  {
    files: ['**/tests/**/*.mjs'],
    languageOptions: { ecmaVersion: 2022, sourceType: 'module', globals: { ...globals.node, ...globals.browser, Postern: 'readonly' } },
    rules: { ...rules, 'prefer-const': ['error', { destructuring: 'all' }], 'no-var': 'error', 'no-shadow': 'off' }, // what goes into page.evaluate() keeps its name there
  },
];
