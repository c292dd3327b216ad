// Command argo-repository does with a Helm repository what Argo CD's repo server does, and by Argo CD's own code: it finds
// the repository's Secret in a cluster, and with -chart it fetches that chart with what the Secret says. It prints the
// repository and the chart's Chart.yaml as JSON. Argo CD fetches with helm, which has to be in PATH.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"time"

	"github.com/argoproj/argo-cd/v3/pkg/apis/application/v1alpha1"
	"github.com/argoproj/argo-cd/v3/util/db"
	"github.com/argoproj/argo-cd/v3/util/helm"
	"github.com/argoproj/argo-cd/v3/util/settings"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

// A cluster that does not answer must not hang the caller.
const limit = 2 * time.Minute

// Of a chart when it is unpacked.
const maxChartSize = 10 << 20

type result struct {
	Repository *v1alpha1.Repository `json:"repository"`
	Chart      string               `json:"chart,omitempty"`
}

func main() {
	log.SetFlags(0)
	kubeconfig := flag.String("kubeconfig", "", "the kubeconfig of the cluster")
	namespace := flag.String("namespace", "argocd", "the namespace of Argo CD")
	url := flag.String("url", "", "the repository's url, as an Application names it")
	chart := flag.String("chart", "", "a chart to fetch from it")
	version := flag.String("version", "", "the chart's version")
	plain := flag.Bool("plain-http", false, "whether the registry speaks no TLS")
	flag.Parse()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	repository, err := find(ctx, *kubeconfig, *namespace, *url)
	if err != nil {
		log.Fatalf("repository %s in namespace %s: %v", *url, *namespace, err)
	}
	found := result{Repository: repository}
	if *chart != "" {
		if found.Chart, err = fetch(repository, *chart, *version, *plain); err != nil {
			log.Fatalf("chart %s %s of %s: %v", *chart, *version, *url, err)
		}
	}
	if err := json.NewEncoder(os.Stdout).Encode(found); err != nil {
		log.Fatal(err)
	}
}

func find(ctx context.Context, kubeconfig, namespace, url string) (*v1alpha1.Repository, error) {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	database := db.NewDB(namespace, settings.NewSettingsManager(ctx, client, namespace), client)
	// Without this question a repository that nobody configured would look like one without credentials.
	exists, err := database.RepositoryExists(ctx, url, "")
	if err != nil {
		return nil, err
	}
	if !exists {
		return nil, errors.New("Argo CD sees no Secret of it")
	}
	return database.GetRepository(ctx, url, "")
}

func fetch(repository *v1alpha1.Repository, chart, version string, plain bool) (string, error) {
	var options []helm.ClientOpts
	if plain {
		options = append(options, helm.WithPlainHTTP())
	}
	client := helm.NewClient(
		repository.Repo, repository.GetHelmCreds(), repository.EnableOCI, repository.Proxy, repository.NoProxy, options...)
	folder, closer, err := client.ExtractChart(chart, version, false, maxChartSize, false)
	if err != nil {
		return "", err
	}
	defer closer.Close()
	text, err := os.ReadFile(filepath.Join(folder, "Chart.yaml"))
	if err != nil {
		return "", fmt.Errorf("the fetched chart: %w", err)
	}
	return string(text), nil
}
