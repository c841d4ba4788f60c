use peers::Redis;

#[test]
fn an_entry_goes_in_and_comes_out() {
    let Some(server) = Redis::start() else { return };
    server.command(&["XADD", "events", "1-1", "id", "evt_1"]).unwrap();
    assert_eq!(server.command(&["XRANGE", "events", "-", "+"]).unwrap(), "1-1\nid\nevt_1\n");
    assert!(server.command(&["GET", "events"]).unwrap_err().to_string().contains("WRONGTYPE"));
}
