// Command grpc-health-probe asks a gRPC server for its health and exits with 0 if it is serving. It stands in for the
// upstream program of that name, of which OLM's registry pods need no more than `grpc_health_probe -addr=:50051`: their
// image must have it under the name with underscores.
package main

import (
	"context"
	"flag"
	"log"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
)

func main() {
	address := flag.String("addr", "", "host:port of the server; without a host, this machine")
	timeout := flag.Duration("timeout", 3*time.Second, "for the connection and the answer together")
	flag.Parse()
	if *address == "" || flag.NArg() != 0 {
		log.Fatal("give the server as -addr=host:port, and nothing else")
	}
	status, err := health(*address, *timeout)
	if err != nil {
		log.Fatalf("%s: %v", *address, err)
	}
	if status != grpc_health_v1.HealthCheckResponse_SERVING {
		log.Fatalf("%s: %v", *address, status)
	}
}

func health(address string, timeout time.Duration) (grpc_health_v1.HealthCheckResponse_ServingStatus, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	// Without "passthrough", gRPC would look the name up itself and refuse an address without a host.
	connection, err := grpc.NewClient("passthrough:///"+address,
		grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return grpc_health_v1.HealthCheckResponse_UNKNOWN, err
	}
	defer connection.Close()
	answer, err := grpc_health_v1.NewHealthClient(connection).Check(ctx, &grpc_health_v1.HealthCheckRequest{})
	return answer.GetStatus(), err
}
