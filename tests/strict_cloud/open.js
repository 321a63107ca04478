// oidc-provider on loopback with its own log-in and consent pages: any name logs in, with any password.
// node open.js PORT REDIRECT_URI CLIENT_SECRET; who calls himself admin has a role

import { Provider } from 'oidc-provider';

const [port, redirectUri, secret] = process.argv.slice(2);

const provider = new Provider(`http://127.0.0.1:${port}`, {
  claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name', 'preferred_username', 'roles'] },
  clients: [
    {
      client_id: 'vault',
      client_secret: secret,
      grant_types: ['authorization_code', 'refresh_token'],
      post_logout_redirect_uris: [new URL('/login', redirectUri).href],
      redirect_uris: [redirectUri],
      token_endpoint_auth_method: 'client_secret_basic',
    },
  ],
  features: { revocation: { enabled: true }, rpInitiatedLogout: { enabled: true } },
  findAccount: async (_, sub) => ({
    accountId: sub,
    claims: async () => ({
      sub,
      email: `${sub}@fabrikam.example`,
      email_verified: true,
      name: sub,
      preferred_username: `${sub}@fabrikam.example`,
      roles: sub === 'admin' ? ['Vault.Admin'] : [],
    }),
  }),
  rotateRefreshToken: true,
  ttl: { AccessToken: 3600, Grant: 86400, IdToken: 3600, Interaction: 600, RefreshToken: 86400, Session: 600 },
});

provider.listen(Number(port), '127.0.0.1', () => console.log(JSON.stringify({ ready: true })));

process.stdin.resume();
process.stdin.on('end', () => process.exit(0));
