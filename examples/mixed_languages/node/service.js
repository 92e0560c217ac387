// A shop's session store. With LEAK=1 no session is ever forgotten.
'use strict';

const { metrics, NodeSDK, resources } = require('@opentelemetry/sdk-node');
const { HostMetrics } = require('@opentelemetry/host-metrics');
const { RuntimeNodeInstrumentation } = require('@opentelemetry/instrumentation-runtime-node');

// Endpoint, interval, names: the usual OTEL_* variables.
const sdk = new NodeSDK({ instrumentations: [new RuntimeNodeInstrumentation()] });
sdk.start();
new HostMetrics({ metricGroups: ['process.memory'] }).start();

const express = require('express');

const LEAKS = process.env.LEAK === '1';
const SESSION_BYTES = Number(process.env.SESSION_BYTES ?? 65536);
const SESSIONS_KEPT = 100;
const sessions = new Map();
let visitors = 0;

const app = express();
app.get('/', (request, response) => {
  // Half of it in V8's heap, half outside of it, as a Buffer is.
  const half = SESSION_BYTES / 2;
  sessions.set((visitors += 1), [new Array(half / 8).fill(visitors + 0.5), Buffer.alloc(half, 1)]);
  if (!LEAKS && sessions.size > SESSIONS_KEPT) sessions.delete(sessions.keys().next().value);
  response.json({ sessions: sessions.size });
});
const server = app.listen(Number(process.env.PORT ?? 8080), '127.0.0.1');

process.once('SIGTERM', () => server.close(() => sdk.shutdown().finally(() => process.exit())));
