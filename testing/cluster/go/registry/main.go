// Command oci-registry serves the in-memory OCI registry of go-containerregistry on a free port of the loopback
// interface, which it prints. With the variables REGISTRY_USER and REGISTRY_PASSWORD it wants them of everybody, as ECR
// does. It ends when its standard input does.
package main

import (
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"

	"github.com/google/go-containerregistry/pkg/registry"
)

func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	user, password := os.Getenv("REGISTRY_USER"), os.Getenv("REGISTRY_PASSWORD")
	served := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		givenUser, givenPassword, _ := r.BasicAuth()
		if user != "" && (givenUser != user || givenPassword != password) {
			w.Header().Set("WWW-Authenticate", `Basic realm="registry",service="ecr.amazonaws.com"`)
			http.Error(w, "unauthorized", http.StatusUnauthorized)
			return
		}
		served.ServeHTTP(w, r)
	})
	go func() {
		log.Fatal(http.Serve(listener, handler))
	}()
	fmt.Println(listener.Addr())
	io.Copy(io.Discard, os.Stdin)
}
