"""Kinds of values: what keys and parameters of a kind are called, and how a sentence brings such a value in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from scripts.demo import values, words

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random


@dataclass(frozen=True, slots=True)
class Kind:
    """{0} in a phrase is the value, {n} the name of the key."""

    make: Callable[[Random], Any]
    names: tuple[str, ...]
    phrases: tuple[str, ...]


def _kind(make: Callable[[Random], Any], names: str, phrases: str) -> Kind:
    return Kind(make, tuple(names.split()), tuple(phrases.split("|")))


KINDS = (
    _kind(
        values.city,
        "city town location place region area village destination station airport branch where country port site venue origin start "
        "stop market home market_town base office hotel",
        "in {0}|for {0}|near {0}|at {0}|around {0}|in the city of {0}|located in {0}|of {0}|close to {0}|over in {0}|here in {0}|to {0}|"
        "from {0}|not far from {0}|at the {n} {0}|{0} is the {n}",
    ),
    _kind(
        values.person,
        "name person customer guest user employee patient client student teacher member owner tenant driver passenger recipient sender "
        "contact friend player author artist colleague manager visitor candidate buyer seller child who attendee speaker host writer "
        "winner assistant doctor first_name full_name requester",
        "for {0}|of {0}|named {0}|called {0}|with {0}|by {0}|to {0}|under the name {0}|on behalf of {0}|whose name is {0}|for my friend {0}|"
        "for {n} {0}|the {n} is {0}|{0} asked for it|from {0}|that {0} wants|so that {0} can see it|together with {0}",
    ),
    _kind(
        values.date,
        "date day start_date end_date deadline due_date birthday when from_date until departure_date arrival check_in check_out starts "
        "due expires delivery_date start end",
        "on {0}|for {0}|from {0}|until {0}|starting {0}|by {0}|before {0}|after {0}|due {0}|dated {0}|as of {0}|since {0}|no later than {0}|{n} {0}",
    ),
    _kind(
        values.time,
        "time hour start_time end_time when at begins alarm pickup departure opening start",
        "at {0}|around {0}|from {0}|until {0}|before {0}|after {0}|starting at {0}|by {0}|{n} {0}|at {0} sharp|not before {0}",
    ),
    _kind(
        values.small,
        "quantity count days nights hours minutes guests people limit number pieces adults children tickets seats rooms copies pages stars "
        "score rating level years weeks months floor size amount persons units bottles servings players laps age total percent degrees",
        "for {0} {n}|with {0} {n}|{0} {n}|over {0} {n}|at most {0}|{0} of them|{0} times|{n} {0}|at least {0} {n}|{0} pieces|exactly {0}|"
        "{0} in number|all {0} {n}|in {0} {n}|up to {0} {n}",
    ),
    _kind(
        values.decimal,
        "amount price cost weight distance length height width rate fee total temperature speed volume depth budget salary value kilometers "
        "liters kilos meters",
        "of {0}|for {0}|at {0}|over {0}|costing {0}|weighing {0}|with {0} {n}|{0} {n}|{n} {0}|about {0}|worth {0}|up to {0}|within {0} {n}|for {0} euros|"
        "{0} kilos|{0} meters",
    ),
    _kind(
        values.large,
        "price budget amount max_price min_price population distance year mileage salary points total cost value revenue steps",
        "of {0}|for {0}|under {0}|at most {0}|at least {0}|below {0}|over {0}|within {0}|{n} {0}|{0} {n}|up to {0}|with {0} {n}|more than {0}",
    ),
    _kind(
        values.email,
        "email mail address contact to recipient sender from",
        "at {0}|to {0}|using {0}|with the email {0}|via {0}|from {0}|reach {0}|({0})",
    ),
    _kind(
        values.phone,
        "phone number telephone mobile contact phone_number",
        "at {0}|on {0}|with the phone number {0}|call {0}|via {0}|number {0}",
    ),
    _kind(
        values.street,
        "address street home destination location delivery_address office pickup",
        "at {0}|to {0}|from {0}|near {0}|with the address {0}|located at {0}|at the {n} {0}",
    ),
    _kind(
        values.identifier,
        "id number code order_id ticket_id reference booking_id invoice_id account room flight tracking_number gate plate serial part_number sku "
        "case_id order invoice ticket contract customer_id user_id model key",
        "with id {0}|number {0}|{0}|with the code {0}|code {0}|for {n} {0}|of {n} {0}|{n} {0}|with reference {0}|under {0}|with the number {0}|no. {0}",
    ),
    _kind(
        values.phrase,
        "message text note subject query body comment content reason description question title memo headline task summary caption words keywords",
        'saying "{0}"|that says "{0}"|with the {n} "{0}"|about "{0}"|"{0}"|for "{0}"|noting "{0}"|with "{0}" as {n}|reading "{0}"|because "{0}"|'
        "saying {0}|about {0}|: {0}",
    ),
    _kind(
        values.title,
        "title name song movie book film album project company game team event brand course show playlist artist restaurant shop document file ship "
        "band author product model street school station",
        'titled "{0}"|called "{0}"|"{0}"|called {0}|named {0}|{n} {0}|the {n} "{0}"|by {0}|of {0}|for the {n} {0}|from {0}|at {0}',
    ),
    _kind(
        values.product,
        "item product article thing goods object gift dish part material tool device ingredient good type food",
        "of the {0}|for the {0}|with {0}|for a {0}|of {0}|{0}|with the {0}|the {n} {0}|about the {0}|containing {0}|for {0}",
    ),
    _kind(
        values.word,
        "topic subject category keyword type kind tag theme genre style field",
        "about {0}|on {0}|of type {0}|{n} {0}|for {0}|in {0}|tagged {0}|of the {n} {0}",
    ),
    _kind(
        values.language,
        "language target_language source_language lang to from",
        "in {0}|into {0}|to {0}|from {0}|spoken in {0}",
    ),
    _kind(values.currency, "currency from_currency to_currency unit", "in {0}|to {0}|from {0}|into {0}"),
    _kind(values.color, "color colour shade paint", "in {0}|colored {0}|painted {0}|of {0} color|{0}"),
    _kind(
        values.job,
        "job profession role occupation position title",
        "as a {0}|working as a {0}|a {0}|for a {0}|who is a {0}",
    ),
    _kind(values.url, "url link website page source site", "from {0}|at {0}|on {0}|with the link {0}|see {0}"),
)


def kind(random: Random) -> tuple[str, Kind]:
    """A kind, and a name for a value of it."""
    one = random.choice(KINDS)
    name = random.choice(one.names)
    if random.random() < 0.15:
        name = f"{random.choice(words.NOUNS)}_{name}"
    return name, one
