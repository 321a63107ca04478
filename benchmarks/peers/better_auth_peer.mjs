// better-auth: one person's token fetched with `auth.api.getAccessToken`, tokens encrypted, its store in memory.
// Speaks as loop.py does: a line is an act and what to give it, the answer is one JSON object.

import { createInterface } from 'node:readline';
import { betterAuth } from 'better-auth';
import { memoryAdapter } from 'better-auth/adapters/memory';
import { symmetricEncrypt } from 'better-auth/crypto';
import { genericOAuth } from 'better-auth/plugins/generic-oauth';

const TOKEN = 't'.repeat(1200);
const HOUR = 3600_000;
const secret = 'not a secret, but as long as one has to be';
const database = { user: [], session: [], account: [], verification: [] };

const auth = betterAuth({
  secret,
  baseURL: 'http://127.0.0.1',
  database: memoryAdapter(database),
  account: { encryptOAuthTokens: true },
  logger: { disabled: true },
  plugins: [
    genericOAuth({
      config: [
        {
          providerId: 'cloud',
          clientId: 'vault',
          clientSecret: 'secret',
          authorizationUrl: 'http://127.0.0.1/authorize',
          tokenUrl: process.env.TOKEN_ENDPOINT,
        },
      ],
    }),
  ],
});
const context = await auth.$context;

const sealed = (data) => symmetricEncrypt({ key: context.secretConfig ?? context.secret, data });

async function add(user, refreshToken) {
  database.user.push({ id: user, name: user, email: `${user}@contoso.example`, emailVerified: true });
  const tokens = { accessToken: await sealed(TOKEN), refreshToken: await sealed(refreshToken) };
  const times = { accessTokenExpiresAt: new Date(Date.now() + HOUR), createdAt: new Date(), updatedAt: new Date() };
  database.account.push({ id: user, userId: user, accountId: user, providerId: 'cloud', ...tokens, ...times });
}

const fetchToken = (userId) => auth.api.getAccessToken({ body: { accountId: userId, userId } });

async function get() {
  if ((await fetchToken('valid')).accessToken !== TOKEN) throw new Error('a wrong answer is not a measurement');
}

async function waited() {
  const begin = performance.now();
  try {
    await fetchToken('expired');
  } catch {
    return [];
  }
  return [(performance.now() - begin) / 1000];
}

// A round; a new refresh token begins anew
async function storm(asked) {
  const { callers, refresh_token: refreshToken } = JSON.parse(asked);
  const account = database.account.find((one) => one.id === 'expired');
  if (refreshToken) account.refreshToken = await sealed(refreshToken);
  account.accessTokenExpiresAt = new Date(Date.now() - HOUR);
  return { seconds: (await Promise.all(Array.from({ length: callers }, waited))).flat() };
}

async function measured(act, argument) {
  const begin = performance.now();
  const cpu = process.cpuUsage();
  try {
    const result = await act(argument);
    const { user, system } = process.cpuUsage(cpu);
    const said = argument ? { result } : {};
    return { cpu: (user + system) / 1000, wall: performance.now() - begin, calls: [], ...said };
  } catch (error) {
    return { error: `${error.name}: ${error.message}`.slice(0, 300) };
  }
}

const acts = { get, storm };
await add('valid', 'not used');
await add('expired', 'none yet');
console.log(JSON.stringify({ acts: Object.keys(acts) }));
for await (const line of createInterface({ input: process.stdin })) {
  const [, name, argument] = line.match(/^(\w+) ?(.*)$/);
  console.log(JSON.stringify(await measured(acts[name], argument)));
}
