/*
 * The broker's sockets from outside: those it binds and what may lie in their way, clients that
 * wait or leave, a peer that it connects to, descriptors that it inherits, and whom it tells that
 * it is ready.
 */
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/util.h"
#include "tests/integration/served.h"

static int bind_at(const char *path, bool listening)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(a.sun_path, path);
	assert_ok(bind(sock, (struct sockaddr *)&a, sizeof(a)));
	if (listening)
		assert_ok(listen(sock, 4));
	return sock;
}

static void stale_socket_is_replaced(void **state)
{
	struct program_start s;

	(void)state;
	rig_prepare(&rig, &s, (const char *[]){ NULL });
	close(bind_at(rig.socket, true));
	close(bind_at(rig.control, true));
	rig_launch(&rig, &s);
	rig_serves(&rig);
	rig_stop(&rig);
}

static void live_socket_is_an_error(void **state)
{
	struct program_start s;
	int sock;

	(void)state;
	rig_prepare(&rig, &s, (const char *[]){ NULL });
	sock = bind_at(rig.socket, true);
	assert_ok(program_run(&rig.broker, &s));
	assert_int_equal(2, program_wait(&rig.broker, RIG_WAIT_MS));
	assert_true(program_says(&rig.broker, "--socket-path", 0));
	assert_false(host_has(RIG_TAP));
	assert_ok(access(rig.socket, F_OK));
	close(sock);
	rig_abandon(&rig);
}

static void file_in_the_way_is_an_error(void **state)
{
	struct program_start s;
	struct stat st;

	(void)state;
	rig_prepare(&rig, &s, (const char *[]){ NULL });
	close(open(rig.socket, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	assert_ok(program_run(&rig.broker, &s));
	assert_int_equal(2, program_wait(&rig.broker, RIG_WAIT_MS));
	assert_ok(stat(rig.socket, &st));
	assert_true(S_ISREG(st.st_mode));
	rig_abandon(&rig);
}

static void second_client_waits_its_turn(void **state)
{
	static struct guest second;
	struct pollfd p;
	uint64_t features;

	(void)state;
	guest_blank(&second);
	rig_open(&rig, &guest, &(struct guest_options){ 0 });
	assert_ok(peer_connect(&second.peer, rig.socket));
	assert_ok(peer_send(&second.peer, VU_GET_FEATURES, VU_VERSION, NULL, 0, NULL, 0));
	for (int i = 0; i < 5; i++)
		rig_exchange(&rig, &guest, 0);
	p = (struct pollfd){ .fd = second.peer.sock, .events = POLLIN };
	assert_int_equal(0, poll(&p, 1, 100));
	guest_close(&guest);
	struct vu_message answer;
	assert_ok(peer_recv(&second.peer, &answer));
	features = answer.u64;
	assert_true(features & BIT(VU_F_PROTOCOL_FEATURES));
	assert_ok(guest_open(&second, &(struct guest_options){ 0 }));
	rig_exchange(&rig, &second, 0);
	rig_close(&rig, &second);
	rig_stop(&rig);
}

/* A dozen clients that come and go while one is served disturb nobody. */
static void impatient_clients_disturb_nobody(void **state)
{
	(void)state;
	rig_open(&rig, &guest, &(struct guest_options){ 0 });
	for (int i = 0; i < 12; i++) {
		struct peer p;

		assert_ok(peer_connect(&p, rig.socket));
		peer_send(&p, VU_GET_FEATURES, VU_VERSION, NULL, 0, NULL, 0);
		rig_exchange(&rig, &guest, 0);
		peer_close(&p);
	}
	guest_close(&guest);
	rig_serves(&rig);
	rig_stop(&rig);
}

static void client_mode_connects_again_and_again(void **state)
{
	struct program_start s;
	int listener;

	(void)state;
	rig_prepare(&rig, &s, (const char *[]){ "--client", NULL });
	listener = peer_listen(rig.socket);
	assert_true(listener >= 0);
	rig_launch(&rig, &s);
	for (int i = 0; i < 3; i++) {
		assert_ok(peer_accept(&guest.peer, listener, 3000));
		assert_ok(guest_open(&guest, &(struct guest_options){ 0 }));
		rig_exchange(&rig, &guest, 0);
		guest_close(&guest);
	}
	/* The peer's listener goes too, and comes back. */
	close(listener);
	unlink(rig.socket);
	rig_sleep(300);
	assert_true(program_running(&rig.broker));
	listener = peer_listen(rig.socket);
	assert_ok(peer_accept(&guest.peer, listener, 5000));
	assert_ok(guest_open(&guest, &(struct guest_options){ 0 }));
	rig_exchange(&rig, &guest, 0);
	guest_close(&guest);
	close(listener);
	assert_int_equal(0, program_stop(&rig.broker));
	rig_abandon(&rig);
}

static void connected_descriptor_serves_once(void **state)
{
	struct program_start s;
	int pair[2];

	(void)state;
	rig_prepare(&rig, &s, (const char *[]){ "--fd=3", NULL });
	rig_leave_out(&s, "--socket-path");
	assert_ok(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
	s.fds[0] = pair[1];
	s.nfds = 1;
	rig_launch(&rig, &s);
	close(pair[1]);
	peer_adopt(&guest.peer, pair[0]);
	assert_ok(guest_open(&guest, &(struct guest_options){ 0 }));
	rig_exchange(&rig, &guest, 0);
	guest_close(&guest);
	assert_int_equal(0, program_wait(&rig.broker, RIG_WAIT_MS));
	rig_abandon(&rig);
}

static void listening_descriptor_serves_many(void **state)
{
	static const char *const told[] = { "--fd=3", NULL }, *const untold[] = { NULL };
	const char *const *options[] = { told, untold };

	(void)state;
	for (int activation = 0; activation < 2; activation++) {
		struct program_start s;

		rig_prepare(&rig, &s, options[activation]);
		rig_leave_out(&s, "--socket-path");
		s.fds[0] = bind_at(rig.socket, true);
		s.nfds = 1;
		s.listen_pid = activation;
		rig_launch(&rig, &s);
		close(s.fds[0]);
		rig_serves(&rig);
		rig_serves(&rig);
		assert_int_equal(0, program_stop(&rig.broker));
		/* A socket that somebody else made is theirs to remove. */
		assert_ok(access(rig.socket, F_OK));
		rig_abandon(&rig);
	}
}

static void readiness_is_told_to_systemd(void **state)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	static char variable[128], path[] = "PATH=/usr/sbin:/usr/bin:/sbin:/bin";
	struct program_start s;
	struct pollfd p;
	char text[256] = "";

	(void)state;
	rig_prepare(&rig, &s, (const char *[]){ NULL });
	snprintf(a.sun_path, sizeof(a.sun_path), "%s/notify", rig.dir);
	p = (struct pollfd){ .fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0),
			     .events = POLLIN };
	assert_ok(bind(p.fd, (struct sockaddr *)&a, sizeof(a)));
	snprintf(variable, sizeof(variable), "NOTIFY_SOCKET=%s", a.sun_path);
	s.env[0] = variable;
	s.env[1] = path;
	rig_launch(&rig, &s);
	assert_int_equal(1, poll(&p, 1, 1000));
	assert_true(recv(p.fd, text, sizeof(text) - 1, 0) > 0);
	assert_non_null(strstr(text, "READY=1"));
	close(p.fd);
	unlink(a.sun_path);
	rig_stop(&rig);
}

#define TEST(name)   cmocka_unit_test_setup_teardown(name, start, end)
#define NO_RIG(name) cmocka_unit_test_setup_teardown(name, blank, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		NO_RIG(stale_socket_is_replaced),
		NO_RIG(live_socket_is_an_error),
		NO_RIG(file_in_the_way_is_an_error),
		TEST(second_client_waits_its_turn),
		TEST(impatient_clients_disturb_nobody),
		NO_RIG(client_mode_connects_again_and_again),
		NO_RIG(connected_descriptor_serves_once),
		NO_RIG(listening_descriptor_serves_many),
		NO_RIG(readiness_is_told_to_systemd),
	};

	return rig_run("sockets", tests, ARRAY_SIZE(tests));
}
