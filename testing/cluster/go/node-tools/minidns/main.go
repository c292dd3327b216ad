// Command minidns is the DNS of a test cluster: it answers A queries for <service>.<namespace>.svc.cluster.local with the
// cluster IP, for which it asks the API server each time. It knows no other names, and so no pods, no headless services
// and nothing outside the cluster. Once it listens, on UDP and TCP, it prints its address.
//
// The API server's token is taken from the variable MINIDNS_TOKEN, since arguments are visible to everybody.
package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/miekg/dns"
)

const (
	zone = ".svc.cluster.local."
	// In seconds; short, so that a service that was created anew is found soon.
	ttl = 5
	// Resolvers commonly wait for five seconds.
	timeout = 2 * time.Second
)

var errNoService = errors.New("no such service")

func main() {
	listen := flag.String("listen", "127.0.0.1:0", "address of the DNS server; port 0 takes a free one")
	server := flag.String("server", "", "URL of the API server")
	authority := flag.String("ca", "", "PEM file of the certificate authority that the API server's certificate is from")
	flag.Parse()
	api, err := newAPI(*server, *authority, os.Getenv("MINIDNS_TOKEN"))
	if err != nil {
		log.Fatal(err)
	}
	stream, err := net.Listen("tcp", *listen)
	if err != nil {
		log.Fatal(err)
	}
	packets, err := net.ListenPacket("udp", stream.Addr().String())
	if err != nil {
		log.Fatal(err)
	}
	handler := dns.HandlerFunc(func(w dns.ResponseWriter, query *dns.Msg) {
		if err := w.WriteMsg(answer(query, api.clusterIP)); err != nil {
			log.Print(err)
		}
	})
	fmt.Println(stream.Addr())
	ended := make(chan error)
	for _, protocol := range []*dns.Server{{Listener: stream}, {PacketConn: packets}} {
		protocol.Handler = handler
		go func() { ended <- protocol.ActivateAndServe() }()
	}
	log.Fatal(<-ended)
}

// answer never fails: what goes wrong is told to the client as a response code.
func answer(query *dns.Msg, clusterIP func(namespace, service string) (net.IP, error)) *dns.Msg {
	reply := new(dns.Msg).SetReply(query)
	if len(query.Question) != 1 {
		return reply.SetRcode(query, dns.RcodeFormatError)
	}
	reply.Authoritative = true
	question := query.Question[0]
	// A resolver tries its search path until a name is known. Hence whatever is not ours has to be unknown, and not
	// refused, which many resolvers take for the end.
	reply.Rcode = dns.RcodeNameError
	name, inZone := strings.CutSuffix(strings.ToLower(question.Name), zone)
	labels := strings.Split(name, ".")
	if !inZone || len(labels) != 2 {
		return reply
	}
	address, err := clusterIP(labels[1], labels[0])
	switch {
	case errors.Is(err, errNoService):
		return reply
	case err != nil:
		log.Printf("%s: %v", question.Name, err)
		reply.Rcode = dns.RcodeServerFailure
		return reply
	}
	reply.Rcode = dns.RcodeSuccess
	// A service without an IPv4 address and a query of another type get an empty answer: the name exists.
	if address = address.To4(); address != nil && question.Qtype == dns.TypeA {
		header := dns.RR_Header{Name: question.Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: ttl}
		reply.Answer = []dns.RR{&dns.A{Hdr: header, A: address}}
	}
	return reply
}

type apiServer struct {
	client *http.Client
	server string
	token  string
}

func newAPI(server, authority, token string) (*apiServer, error) {
	if server == "" || authority == "" || token == "" {
		return nil, errors.New("-server, -ca and the variable MINIDNS_TOKEN are needed")
	}
	pem, err := os.ReadFile(authority)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate", authority)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true}
	return &apiServer{
		client: &http.Client{Transport: transport, Timeout: timeout},
		server: strings.TrimSuffix(server, "/"),
		token:  token,
	}, nil
}

// clusterIP is nil for a service without one.
func (a *apiServer) clusterIP(namespace, service string) (net.IP, error) {
	// Escaped, since a label of a DNS query may hold any byte.
	address := fmt.Sprintf("%s/api/v1/namespaces/%s/services/%s",
		a.server, url.PathEscape(namespace), url.PathEscape(service))
	request, err := http.NewRequest(http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", "Bearer "+a.token)
	response, err := a.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	switch response.StatusCode {
	case http.StatusOK:
	case http.StatusNotFound:
		return nil, errNoService
	default:
		return nil, fmt.Errorf("the API server says %s", response.Status)
	}
	var object struct {
		Spec struct {
			ClusterIP string `json:"clusterIP"`
		} `json:"spec"`
	}
	if err := json.NewDecoder(response.Body).Decode(&object); err != nil {
		return nil, err
	}
	return net.ParseIP(object.Spec.ClusterIP), nil
}
