//! How relays gossip: the settings of gossipsub, and why.

use core::time::Duration;
use std::collections::{HashMap, HashSet};

use clavicle_ledger::id::ChainId;
use clavicle_ledger::transaction::MAX_ENVELOPE_LEN;
use libp2p::gossipsub::{
    Behaviour, Config, ConfigBuilder, IdentTopic, IdentityTransform, Message, MessageAuthenticity, MessageId,
    PeerScoreParams, PeerScoreThresholds, TopicHash, TopicScoreParams, ValidationMode, WhitelistSubscriptionFilter,
    score_parameter_decay,
};

use super::network_name;

/// Gossipsub as relays use it.
pub(super) type Gossip = Behaviour<IdentityTransform, WhitelistSubscriptionFilter>;

/// What a message may be long: the longest transaction, and the topic's name around it.
const MAX_MESSAGE_LEN: usize = MAX_ENVELOPE_LEN + 128;
/// What is sent at once may be long: a message, or the ids of many.
const MAX_FRAME_LEN: usize = 32 * 1024;
/// Ids named or asked for at once: they must fit into a frame, or the stream breaks.
const MAX_IDS: usize = 400;
/// Messages that wait to be sent to one relay.
const QUEUE: usize = 2048;
/// For so long, a message that was seen is not taken in again.
const SEEN: Duration = Duration::from_secs(120);
/// A relay at fault has paid for most of it after so long.
const FORGIVE: Duration = Duration::from_secs(600);

/// The topic of transactions on one network.
pub(super) fn topic(chain: &ChainId) -> IdentTopic {
    IdentTopic::new(format!("/clavicle/{}/tx/1", network_name(chain)))
}

/// A message goes by the hash of its bytes, as an envelope does. So two copies that differ in a signature are two
/// messages, and a bad one cannot keep the good one out.
fn message_id(message: &Message) -> MessageId {
    MessageId::new(blake3::hash(&message.data).as_bytes())
}

fn config(topic: TopicHash) -> Config {
    ConfigBuilder::default()
        // Who published a transaction is nobody's business: no author, no number, no signature around it.
        .validation_mode(ValidationMode::Anonymous)
        .validate_messages()
        .message_id_fn(message_id)
        .max_transmit_size(MAX_FRAME_LEN)
        .max_transmit_size_for_topic(MAX_MESSAGE_LEN, topic)
        .max_control_messages_sent(MAX_IDS)
        .max_control_message_size(MAX_FRAME_LEN / 2)
        .connection_handler_queue_len(QUEUE)
        .duplicate_cache_time(SEEN)
        // Verdicts come from other threads: a message must still be there when its verdict is.
        .history_length(10)
        .history_gossip(3)
        // Up to nine relays all know each other; of fifty, each forwards to eight.
        .mesh_n_low(6)
        .mesh_n(8)
        .mesh_n_high(12)
        .mesh_outbound_min(2)
        .flood_publish(true)
        .heartbeat_initial_delay(Duration::from_secs(1))
        .build()
        .expect("the settings agree with each other")
}

/// Only faults count. Five messages that no honest relay forwards, within a minute or so, and nothing more is heard from
/// the relay until that is forgiven; two, and it is left out of the mesh. There is nothing to be earned: a relay
/// that forwards much must not be forgiven more.
///
/// Addresses count for nothing: hospitals share a data centre, and their relays one address.
fn scores(topic: TopicHash) -> (PeerScoreParams, PeerScoreThresholds) {
    let transactions = TopicScoreParams {
        topic_weight: 1.0,
        time_in_mesh_weight: 0.0,
        first_message_deliveries_weight: 0.0,
        // Nobody owes messages: there may be none for hours.
        mesh_message_deliveries_weight: 0.0,
        mesh_message_deliveries_threshold: 0.0,
        mesh_failure_penalty_weight: 0.0,
        invalid_message_deliveries_weight: -4.0,
        invalid_message_deliveries_decay: score_parameter_decay(FORGIVE),
        ..TopicScoreParams::default()
    };
    let params = PeerScoreParams {
        topics: HashMap::from([(topic, transactions)]),
        ip_colocation_factor_weight: 0.0,
        // A promise is broken under load, too.
        behaviour_penalty_threshold: 6.0,
        ..PeerScoreParams::default()
    };
    let thresholds = PeerScoreThresholds { opportunistic_graft_threshold: 0.0, ..PeerScoreThresholds::default() };
    (params, thresholds)
}

/// Gossip on one network, subscribed to its transactions.
pub(super) fn gossip(chain: &ChainId) -> Gossip {
    let topic = topic(chain);
    let filter = WhitelistSubscriptionFilter(HashSet::from([topic.hash()]));
    let mut gossip =
        Behaviour::new_with_subscription_filter(MessageAuthenticity::Anonymous, config(topic.hash()), filter)
            .expect("anonymous messages are valid where they are published");
    let (params, thresholds) = scores(topic.hash());
    gossip.with_peer_score(params, thresholds).expect("the scores agree with each other");
    gossip.subscribe(&topic).expect("the filter lets the topic pass");
    gossip
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_settings_agree_with_each_other() {
        let chain = ChainId::from_bytes([0xab; 32]);
        let _: Gossip = gossip(&chain);
        assert_eq!(topic(&chain).to_string(), "/clavicle/abababababababab/tx/1");
    }

    #[test]
    fn the_fifth_bad_message_is_the_last_one_heard() {
        let (params, thresholds) = scores(topic(&ChainId::from_bytes([0; 32])).hash());
        let weight = params.topics.values().next().unwrap().invalid_message_deliveries_weight;
        assert!(weight * 4.0 * 4.0 > thresholds.graylist_threshold);
        assert!(weight * 5.0 * 5.0 < thresholds.graylist_threshold);
        assert!(weight * 2.0 * 2.0 < thresholds.gossip_threshold);
    }
}
