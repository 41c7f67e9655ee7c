import js from '@eslint/js';
import tseslint from 'typescript-eslint';

// Each ban below is proven by a planted violation in test/architecture/lint.test.ts.
const environmentBan = {
  selector: "MemberExpression[object.name='process'][property.name='env']",
  message: 'Only src/config.ts reads the environment',
};
// Deciders and core are pure (style.md, rule 3): time, ids and randomness are arguments.
const impureBans = [
  { selector: "CallExpression[callee.object.name='Date'][callee.property.name='now']", message: 'Time is an argument' },
  { selector: "NewExpression[callee.name='Date'][arguments.length=0]", message: 'Time is an argument' },
  {
    selector: "CallExpression[callee.object.name='Math'][callee.property.name='random']",
    message: 'Randomness is an argument',
  },
  { selector: "Identifier[name='randomUUID']", message: 'Ids are arguments' },
];

export default tseslint.config(
  { ignores: ['dist/', 'coverage/', '.services/', '**/*.cjs'] },
  js.configs.recommended,
  ...tseslint.configs.strictTypeChecked,
  {
    languageOptions: {
      parserOptions: { projectService: { allowDefaultProject: ['*.js'] }, tsconfigRootDir: import.meta.dirname },
    },
    rules: {
      '@typescript-eslint/switch-exhaustiveness-check': 'error',
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true }],
      // Memory adapters keep the signature of their port: they must reject, not throw.
      '@typescript-eslint/require-await': 'off',
      '@typescript-eslint/consistent-type-imports': 'error',
      // Leaving fields out of a copy by naming them.
      '@typescript-eslint/no-unused-vars': ['error', { ignoreRestSiblings: true }],
      'no-restricted-syntax': ['error', environmentBan],
    },
  },
  {
    files: ['src/core/**', 'src/domains/**'],
    rules: { 'no-restricted-syntax': ['error', environmentBan, ...impureBans] },
  },
  { files: ['src/config.ts', 'test/**', 'bench/**', 'scripts/**'], rules: { 'no-restricted-syntax': 'off' } },
  {
    // JSON and documents from outside are any here: an assertion says what they must be.
    files: ['test/**'],
    rules: {
      '@typescript-eslint/no-explicit-any': 'off',
      '@typescript-eslint/no-unsafe-assignment': 'off',
      '@typescript-eslint/no-unsafe-member-access': 'off',
      '@typescript-eslint/no-unsafe-argument': 'off',
      '@typescript-eslint/no-unsafe-call': 'off',
      '@typescript-eslint/no-unsafe-return': 'off',
    },
  },
  { files: ['*.js'], ...tseslint.configs.disableTypeChecked },
);
