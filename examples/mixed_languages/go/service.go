// A shop's session store. With LEAK=1 no session is ever forgotten.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"log"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"sync"
	"syscall"

	"go.opentelemetry.io/contrib/exporters/autoexport"
	"go.opentelemetry.io/contrib/instrumentation/runtime"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
)

const sessionsKept = 100

// Endpoint, interval, names: the usual OTEL_* variables.
func startTelemetry(ctx context.Context) (*metric.MeterProvider, error) {
	reader, err := autoexport.NewMetricReader(ctx)
	if err != nil {
		return nil, err
	}
	// Host and pid: without them two processes of one service cannot be told apart.
	who, err := resource.New(ctx, resource.WithFromEnv(), resource.WithTelemetrySDK(),
		resource.WithHost(), resource.WithProcessPID())
	if err != nil {
		return nil, err
	}
	provider := metric.NewMeterProvider(metric.WithReader(reader), metric.WithResource(who))
	return provider, runtime.Start(runtime.WithMeterProvider(provider))
}

type store struct {
	sync.Mutex
	leaks    bool
	bytes    int
	visitors int
	sessions map[int][]byte
}

func (s *store) ServeHTTP(response http.ResponseWriter, _ *http.Request) {
	s.Lock()
	defer s.Unlock()
	s.visitors++
	s.sessions[s.visitors] = bytes.Repeat([]byte{1}, s.bytes)
	if !s.leaks {
		delete(s.sessions, s.visitors-sessionsKept)
	}
	json.NewEncoder(response).Encode(map[string]int{"sessions": len(s.sessions)})
}

func setting(name string, otherwise int) int {
	if value, err := strconv.Atoi(os.Getenv(name)); err == nil {
		return value
	}
	return otherwise
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	provider, err := startTelemetry(ctx)
	if err != nil {
		log.Fatal(err)
	}
	sessions := &store{leaks: os.Getenv("LEAK") == "1", bytes: setting("SESSION_BYTES", 65536), sessions: map[int][]byte{}}
	server := &http.Server{Addr: "127.0.0.1:" + strconv.Itoa(setting("PORT", 8080)), Handler: sessions}
	go func() {
		<-ctx.Done()
		provider.Shutdown(context.Background())
		server.Close()
	}()
	if err := server.ListenAndServe(); err != http.ErrServerClosed {
		log.Fatal(err)
	}
}
