// A program of etcd's own Go client, run against Quorate through the bridge over TLS with a user and a password
// (clientv3.test.ts), while members are aborted. It ends with 0 when everything was as clientv3 promises.
//
//	clientv3 ENDPOINT CA USER PASSWORD
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"go.etcd.io/etcd/clientv3"
	"go.etcd.io/etcd/clientv3/concurrency"
	"go.etcd.io/etcd/etcdserver/api/v3rpc/rpctypes"
	"go.etcd.io/etcd/pkg/transport"
)

const puts = 200

func main() {
	if err := run(os.Args[1], os.Args[2], os.Args[3], os.Args[4]); err != nil {
		fmt.Println("FAILED:", err)
		os.Exit(1)
	}
	fmt.Println("all passed")
}

func run(endpoint, ca, user, password string) error {
	tls, err := transport.TLSInfo{TrustedCAFile: ca}.ClientConfig()
	if err != nil {
		return err
	}
	client, err := clientv3.New(clientv3.Config{
		Endpoints: []string{endpoint}, DialTimeout: 10 * time.Second, TLS: tls,
		Username: user, Password: password,
	})
	if err != nil {
		return fmt.Errorf("dial: %w", err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 120*time.Second)
	defer cancel()
	for _, part := range []struct {
		name string
		run  func(context.Context, *clientv3.Client) error
	}{
		{"keys", keys}, {"watch", watch}, {"lease", lease}, {"mutex", mutex}, {"election", election}, {"stm", stm},
	} {
		began := time.Now()
		if err := part.run(ctx, client); err != nil {
			return fmt.Errorf("%s: %w", part.name, err)
		}
		fmt.Printf("%s passed in %v\n", part.name, time.Since(began).Round(time.Millisecond))
	}
	return nil
}

// until repeats what may be repeated: while members are aborted a call may end with Unavailable.
func until(ctx context.Context, do func() error) error {
	for {
		err := do()
		if err == nil || ctx.Err() != nil {
			return err
		}
		var etcd rpctypes.EtcdError
		if !errors.As(err, &etcd) {
			return err
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func keys(ctx context.Context, c *clientv3.Client) error {
	if err := until(ctx, func() error { _, err := c.Put(ctx, "app/k", "v"); return err }); err != nil {
		return err
	}
	for _, options := range [][]clientv3.OpOption{nil, {clientv3.WithSerializable()}} {
		if err := until(ctx, func() error {
			got, err := c.Get(ctx, "app/k", options...)
			if err == nil && len(options) == 0 && (len(got.Kvs) != 1 || string(got.Kvs[0].Value) != "v") {
				return fmt.Errorf("read %v", got.Kvs)
			}
			return err
		}); err != nil {
			return err
		}
	}
	if _, err := c.Get(ctx, "other"); !errors.Is(err, rpctypes.ErrPermissionDenied) {
		return fmt.Errorf("a key of others: %v", err)
	}
	if _, err := c.Get(ctx, "app/k", clientv3.WithRev(1_000_000)); !errors.Is(err, rpctypes.ErrFutureRev) {
		return fmt.Errorf("a future revision: %v", err)
	}
	return until(ctx, func() error {
		answer, err := c.Txn(ctx).
			If(clientv3.Compare(clientv3.Value("app/k"), "=", "v")).
			Then(clientv3.OpPut("app/t", "1"), clientv3.OpGet("app/k")).
			Else(clientv3.OpGet("app/k")).Commit()
		if err == nil && !answer.Succeeded {
			return fmt.Errorf("transaction: %v", answer)
		}
		return err
	})
}

// watch sees every revision of its key once and in order, over members that die and one bridge that ends.
func watch(ctx context.Context, c *clientv3.Client) error {
	var began int64
	if err := until(ctx, func() error {
		answer, err := c.Put(ctx, "app/w", "begin")
		if err == nil {
			began = answer.Header.Revision
		}
		return err
	}); err != nil {
		return err
	}
	seen := make(chan int64, 10*puts)
	failed := make(chan error, 1)
	watching, stop := context.WithCancel(ctx)
	defer stop()
	go func() {
		for answer := range c.Watch(watching, "app/w", clientv3.WithRev(began+1), clientv3.WithPrevKV()) {
			if err := answer.Err(); err != nil {
				failed <- err
				return
			}
			for _, event := range answer.Events {
				seen <- event.Kv.ModRevision
			}
		}
	}()
	acknowledged := map[int64]bool{}
	for n := 0; n < puts; n++ {
		if answer, err := c.Put(ctx, "app/w", fmt.Sprint(n)); err == nil {
			acknowledged[answer.Header.Revision] = true
		}
		time.Sleep(10 * time.Millisecond)
	}
	var last int64
	for len(acknowledged) > 0 {
		select {
		case err := <-failed:
			return err
		case revision := <-seen:
			if revision <= last {
				return fmt.Errorf("revision %d after %d", revision, last)
			}
			last = revision
			delete(acknowledged, revision)
		case <-time.After(20 * time.Second):
			return fmt.Errorf("%d acknowledged writes were not told", len(acknowledged))
		}
	}
	return nil
}

func lease(ctx context.Context, c *clientv3.Client) error {
	var id clientv3.LeaseID
	if err := until(ctx, func() error {
		granted, err := c.Grant(ctx, 3)
		if err == nil {
			id = granted.ID
		}
		return err
	}); err != nil {
		return err
	}
	if err := until(ctx, func() error {
		_, err := c.Put(ctx, "app/leased", "1", clientv3.WithLease(id))
		return err
	}); err != nil {
		return err
	}
	alive, stop := context.WithCancel(ctx)
	answers, err := c.KeepAlive(alive, id)
	if err != nil {
		stop()
		return err
	}
	go func() {
		for range answers {
		}
	}()
	time.Sleep(7 * time.Second)
	count := func() (n int64, err error) {
		err = until(ctx, func() error {
			got, err := c.Get(ctx, "app/leased")
			if err == nil {
				n = got.Count
			}
			return err
		})
		return n, err
	}
	if n, err := count(); err != nil || n != 1 {
		stop()
		return fmt.Errorf("kept alive, and gone: %d, %v", n, err)
	}
	stop()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(200 * time.Millisecond) {
		if n, err := count(); err != nil || n == 0 {
			return err
		}
	}
	return errors.New("not kept alive, and there for 20 s")
}

func mutex(ctx context.Context, c *clientv3.Client) error {
	const rivals, rounds = 5, 4
	counter, inside := 0, 0
	var group sync.WaitGroup
	errs := make(chan error, rivals)
	for rival := 0; rival < rivals; rival++ {
		group.Add(1)
		go func() {
			defer group.Done()
			session, err := concurrency.NewSession(c, concurrency.WithTTL(30))
			if err != nil {
				errs <- fmt.Errorf("session: %w", err)
				return
			}
			defer session.Close()
			lock := concurrency.NewMutex(session, "app/mutex")
			for round := 0; round < rounds; round++ {
				if err := until(ctx, func() error { return lock.Lock(ctx) }); err != nil {
					errs <- err
					return
				}
				inside++
				if inside != 1 {
					errs <- fmt.Errorf("%d hold the lock", inside)
				}
				counter++
				inside--
				if err := until(ctx, func() error { return lock.Unlock(ctx) }); err != nil {
					errs <- err
					return
				}
			}
		}()
	}
	group.Wait()
	select {
	case err := <-errs:
		return err
	default:
	}
	if counter != rivals*rounds {
		return fmt.Errorf("%d times held", counter)
	}
	return nil
}

func election(ctx context.Context, c *clientv3.Client) error {
	session, err := concurrency.NewSession(c, concurrency.WithTTL(30))
	if err != nil {
		return err
	}
	defer session.Close()
	election := concurrency.NewElection(session, "app/election")
	if err := until(ctx, func() error { return election.Campaign(ctx, "me") }); err != nil {
		return err
	}
	if err := until(ctx, func() error {
		leader, err := election.Leader(ctx)
		if err == nil && string(leader.Kvs[0].Value) != "me" {
			return fmt.Errorf("leader is %s", leader.Kvs[0].Value)
		}
		return err
	}); err != nil {
		return err
	}
	return until(ctx, func() error { return election.Resign(ctx) })
}

// stm moves money between accounts from many sides; none is made or lost.
func stm(ctx context.Context, c *clientv3.Client) error {
	for _, account := range []string{"app/x", "app/y"} {
		account := account
		if err := until(ctx, func() error { _, err := c.Put(ctx, account, "1000"); return err }); err != nil {
			return err
		}
	}
	var group sync.WaitGroup
	for side := 0; side < 4; side++ {
		group.Add(1)
		go func() {
			defer group.Done()
			for n := 0; n < 10; n++ {
				concurrency.NewSTM(c, func(s concurrency.STM) error {
					var x, y int
					fmt.Sscan(s.Get("app/x"), &x)
					fmt.Sscan(s.Get("app/y"), &y)
					s.Put("app/x", fmt.Sprint(x-1))
					s.Put("app/y", fmt.Sprint(y+1))
					return nil
				}, concurrency.WithAbortContext(ctx))
			}
		}()
	}
	group.Wait()
	return until(ctx, func() error {
		both, err := c.Get(ctx, "app/x", clientv3.WithRange("app/z"))
		if err != nil {
			return err
		}
		sum := 0
		for _, kv := range both.Kvs {
			var n int
			fmt.Sscan(string(kv.Value), &n)
			sum += n
		}
		if sum != 2000 {
			return fmt.Errorf("the sum is %d", sum)
		}
		return nil
	})
}
