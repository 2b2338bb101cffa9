"""The tools of the held-out exam. Written by hand, once; the training has lists of its own.

A tool stands on three lines or four, under its topic. Tools that might do each other's work are of one topic:

    name | description | what it returns
    : its parameters, apart by ";": name (with "?" where optional), kind, description
    > how it is asked for, after "please"; what stands in [ ] goes where its optional parameter is not given
    ? the same as a noun phrase, for "tell me"

A kind is one that `heldout_words.draw` knows.
"""

from __future__ import annotations

TOOLS = """
@travel
findTrain | Find a train between two cities. | departs time, platform 2-14
: origin city City to leave from; destination city City to arrive in; day? date Day of travel
> look for a train from {origin} to {destination}[ on {day}]
? the next train from {origin} to {destination}[ on {day}]
book_hotel_room | Book a room in a hotel. | booking id, total amount
: city city City of the hotel; first_night date Date of arrival; nights 2-9 Number of nights
> book a hotel room in {city} from {first_night} for {nights} nights
rent_car | Rent a car. | contract id, deposit 100-400
: pickup_city city Where to pick it up; size small/medium/large Size of the car; driver? person Who will drive
> rent a {size} car in {pickup_city}[ with {driver} as the driver]
check_flight | Check whether a flight is on time. | status delayed/boarding/landed, gate 2-40
: flight_code id Code of the flight
> see whether flight {flight_code} is on time
? the status of flight {flight_code}
order_taxi | Order a taxi to an address. | minutes 3-25, driver person
: address street Where to pick up; pickup_time? time When to pick up, HH:MM
> get a taxi to come to {address}[ at {pickup_time}]
get_visa_rules | Look up the visa rules of a country. | stay_days 30-90, fee amount
: country country Country to visit
> look up the visa rules for {country}
? the visa rule for {country}
measure_route | Measure how long a route is. | kilometres 40-900
: start city First city of the route; end city Last city of the route; mode? walking/cycling/driving Way to travel
> measure the route that starts in {start} and ends in {end}[ when {mode}]
? the length of the route that starts in {start} and ends in {end}[ when {mode}]
@weather
get_forecast | Get the weather forecast for a city. | sky sunny/cloudy/rainy, high 4-31
: city city Name of the city; days? 2-7 Days ahead
> check the weather forecast for {city}[ for the next {days} days]
? the weather forecast for {city}[ for the next {days} days]
get_air_quality | Get the quality of the air in a city. | index 12-180, level good/moderate/poor
: location city City to measure
> find out how the air quality is in {location}
? the air quality in {location}
sunsetTime | Tell when sunset is. | sunset time
: place city Where; on_date date Which day, YYYY-MM-DD
> work out when sunset is in {place} on {on_date}
? the time of sunset in {place} on {on_date}
get_snow_depth | Get the depth of snow at a ski resort. | centimetres 5-210
: resort city Name of the resort
> check how much snow there is in {resort}
? the depth of the snow in {resort}
@kitchen
find_recipe | Find a recipe for a dish. | minutes 15-90, servings 2-8
: dish dish Name of the dish; diet? vegan/vegetarian/kosher Kind of diet
> look up a recipe for {dish}[ that is {diet}]
? the best recipe for {dish}[ that is {diet}]
heat_oven | Heat the oven. | ready_at time
: celsius 120-250 Temperature in degrees; program? grill/fan/steam Program to use
> bring the oven to {celsius} degrees[ with the {program} program]
count_calories | Count the calories of a dish. | calories 90-850
: meal dish What is eaten; grams 50-600 Weight in grams
> count the calories of {grams} grams of {meal}
? the number of calories in {grams} grams of {meal}
add_grocery | Add an item to the grocery list. | items_on_list 2-20
: item food What to buy; quantity? 2-12 How many
> put {item} on the grocery list[, quantity {quantity}]
@home
set_thermostat | Set the thermostat of a room. | current 12-28, mode heating/cooling
: room room Which room; degrees 15-25 Target in degrees
> turn the thermostat in the {room} to {degrees} degrees
dim_lamp | Dim the lamp in a room. | watts 2-40
: room_name room Where it stands; percent 10-90 Brightness in percent
> dim the lamp in the {room_name} to {percent} percent
lockDoor | Lock a door of the house. | state locked/jammed, battery 11-99
: door front/back/garage Which door
> make sure that the {door} door is locked
run_sprinkler | Run the garden sprinkler. | litres 20-300
: zone north/south/east/west Part of the garden; duration 5-45 Minutes to run
> let the sprinkler in the {zone} zone run for {duration} minutes
play_song | Play a song on a speaker. | minutes 2-9, artist person
: song title Title of the song; speaker? room Room of the speaker
> play the song "{song}"[ on the speaker in the {speaker}]
start_vacuum | Send the robot vacuum through a room. | done_at time
: room room Room to clean; power? quiet/normal/turbo How strong
> let the vacuum clean the {room}[ on {power} power]
@calendar
start_timer | Start a kitchen timer. | ends_at time
: minutes 2-55 Length in minutes; label? text What it is for
> start a timer of {minutes} minutes[ with the label "{label}"]
set_alarm | Set an alarm clock. | alarm_id id
: wake_time time When it rings, HH:MM; sound? bell/birds/radio Sound to wake up to
> set an alarm for {wake_time}[ with the {sound} sound]
schedule_meeting | Schedule a meeting with a person. | meeting_id id, room 2-30
: attendee person Whom to meet; date date Day, YYYY-MM-DD; time time Start, HH:MM
> schedule a meeting with {attendee} on {date} at {time}
save_birthday | Save the birthday of a person. | days_left 3-300
: person person Whose it is; birthday_date date Day of the birthday
> note that the birthday of {person} is {birthday_date}
create_reminder | Create a reminder. | reminder_id id
: text text What to remember; due date Day to be reminded
> create a reminder "{text}" for {due}
cancelAppointment | Cancel an appointment. | status cancelled/refused, fee amount
: appointment_id id Which one; reason? text Why
> call off appointment {appointment_id}[ with the reason "{reason}"]
list_public_holidays | List the public holidays of a country. | holidays 6-16
: country country Which country; year 2025-2031 Which year
> list the public holidays of {country} in {year}
book_desk | Book a desk in an office. | desk id, floor 2-9
: office city City of the office; day date Day to sit there
> reserve a desk in the {office} office on {day}
@office
invite_user | Invite a user to a project. | invitation id, expires date
: address email Where to send it; project word Name of the project; role? viewer/editor/owner Role in it
> invite {address} to the project {project}[ as {role}]
send_email | Send an email. | message_id id, sent_at time
: to email Address of the reader; subject text Subject line
> send an email to {to} with the subject "{subject}"
open_ticket | Open a support ticket. | ticket id, agent person
: title text What is wrong; priority low/normal/urgent How urgent it is; customer? person Who reported it
> open a ticket titled "{title}" with {priority} priority[ for customer {customer}]
request_leave | Request leave for an employee. | days_left 2-25, status approved/pending
: employee person Who is away; from_date date First day; to_date date Last day
> request leave for {employee} from {from_date} to {to_date}
print_badge | Print a visitor badge. | printer id
: visitor person Name of the visitor; host? person Who is visited; colour? red/green/blue Colour of the badge
> print a badge for visitor {visitor}[, host {host}][, in {colour}]
share_document | Share a document with somebody. | link id
: document_id id Document to share; reader email Who may read it; access? view/edit/comment Kind of access
> share document {document_id} with {reader}[ with {access} access]
find_extension | Find the phone extension of an employee. | extension 100-999, floor 2-9
: employee_name person Full name
> look up the phone extension of {employee_name}
? the phone extension of {employee_name}
@shop
check_stock | Check how many pieces of a product are in stock. | pieces 2-300, warehouse city
: product product Name of the product; store? city City of the store
> see how many pieces of {product} are in stock[ in the {store} store]
? the stock level of {product}[ in the {store} store]
trackParcel | Track a parcel. | location city, arrives date
: tracking_code id Code on the label
> find out where parcel {tracking_code} is
? the location of parcel {tracking_code}
apply_coupon | Apply a coupon to a cart. | new_total amount, saved amount
: coupon id Code of the coupon; cart_number 100-999 Number of the cart
> use coupon {coupon} on cart {cart_number}
refund_purchase | Refund a purchase. | refund_id id, days 2-10
: purchase_id id Which purchase; amount? amount How much to pay back
> refund purchase {purchase_id}[ with an amount of {amount}]
create_invoice | Create an invoice for a company. | invoice id, due date
: company company Who pays; amount amount Amount to pay; currency? EUR/USD/GBP Currency of the amount
> make an invoice for {company} with an amount of {amount}[ {currency}]
rate_product | Rate a product with stars. | average 1.0-5.0, ratings 20-900
: product_name product What is rated; stars 2-5 Number of stars; comment? text What to say about it
> rate the {product_name} with {stars} stars[ and the comment "{comment}"]
order_sample | Order a free sample. | order id, ships_on date
: article product Article to try; ship_to street Address to ship to
> have a sample of {article} shipped to {ship_to}
@money
convert_currency | Convert an amount to another currency. | result amount, rate 0.1-9.0
: amount amount How much; from_currency currency Currency to convert from; to_currency currency Currency to get
> convert the currency of {amount} from {from_currency} to {to_currency}
pay_bill | Pay a bill. | receipt id, balance amount
: bill_number id Number of the bill; account? savings/checking/joint Account to pay with
> pay bill {bill_number}[ with the {account} account]
transfer_money | Transfer money to a person. | transfer_id id
: recipient person Who gets it; sum amount How much; note? text Note for the recipient
> make a transfer of {sum} to {recipient}[ with the note "{note}"]
calculate_tip | Calculate the tip in a restaurant. | tip 1.0-60.0
: total amount What the meal costs; percent 5-25 Percent to give
> calculate a tip of {percent} percent on a total of {total}
? the tip of {percent} percent on a total of {total}
get_loan_rate | Get the interest rate of a loan. | rate 1.0-9.0, monthly amount
: years 2-30 Years to pay back; kind home/car/student Kind of loan
> look up the rate of a {kind} loan over {years} years
? the rate of a {kind} loan over {years} years
sharePrice | Price of one share of a company. | price amount, currency EUR/USD/GBP
: company company Name of the company
> look up what a share of {company} costs
? the price of a share of {company}
log_expense | Log a business expense. | expense_id id, month_total amount
: category food/fuel/lodging/software What it was for; cost amount What it cost; spent_on? date Day it was spent
> log an expense of {cost} for {category}[ on {spent_on}]
@health
book_dentist | Book a visit to the dentist. | dentist person, room 2-20
: patient person Who has the pain; date date Day of the visit; time? time Hour of the visit
> get {patient} in to see the dentist on {date}[ at {time}]
log_weight | Write down a body weight. | change 0.1-4.0, bmi 18.0-34.0
: kilograms 40.0-120.0 Weight in kilograms; measured_on? date Day it was taken
> write down a weight of {kilograms} kilograms[ for {measured_on}]
find_pharmacy | Find a pharmacy that is open. | name company, closes time
: town city Where to look; open_at? time Time it must be open
> find a pharmacy in {town}[ that is open at {open_at}]
? the nearest pharmacy in {town}[ that is open at {open_at}]
renew_prescription | Renew a prescription. | valid_until date, doctor person
: prescription id Number on the prescription; packs? 2-6 How many packs
> renew prescription {prescription}[ for {packs} packs]
count_steps | Count the steps walked on a day. | steps 900-19000, goal 5000-10000
: walker person Who walked; on date Which day
> count the steps of {walker} on {on}
? the number of steps that {walker} took on {on}
@learning
translate_phrase | Translate a phrase. | translation foreign
: phrase text What to translate; language language Language to translate into
> translate the phrase "{phrase}" into {language}
define_word | Give the definition of a word. | definition meaning, origin language
: word word Word to explain
> give the definition of the word {word}
? the definition of the word {word}
start_quiz | Start a quiz. | quiz_id id, seconds 30-300
: subject history/biology/geography/music Subject of the quiz; questions 3-20 How many questions
> begin a {subject} quiz with {questions} questions
enrol_student | Enrol a student in a course. | seat 2-40, starts date
: student person Name of the student; course_code id Code of the course
> enrol {student} as a student in course {course_code}
borrowBook | Borrow a book from the library. | due date, shelf id
: book_title title Title of the book; card_number 1000-9999 Number of the library card
> borrow the book "{book_title}" with library card {card_number}
@systems
restart_server | Restart a server. | uptime_seconds 2-90, status running/starting
: server_id id Which server; delay? 5-60 Seconds to wait first
> restart server {server_id}[ after a delay of {delay} seconds]
create_backup | Create a backup of a database. | backup_id id, gigabytes 1.0-90.0
: database customers/orders/billing/archive Which database; keep_days? 7-90 Days to keep it
> make a backup of the {database} database[ and keep it for {keep_days} days]
reset_password | Reset the password of a user. | expires time
: user_email email Address of the user
> reset the password of {user_email}
check_certificate | Check the certificate of a web site. | valid_until date, issuer company
: domain domain Domain of the site
> check the certificate of {domain}
? the state of the certificate of {domain}
export_logs | Export the logs of a service. | file_id id, lines 100-9000
: service mail/search/payments/login Which service; since time From when, HH:MM; format? csv/text/xml Format of file
> export the logs of the {service} service since {since}[ in {format} format]
@town
report_pothole | Report a pothole in the road. | case_id id, repair_by date
: street_address street Where it is; depth_cm? 3-30 How deep, in centimetres
> report a pothole at {street_address}[ that is {depth_cm} centimetres deep]
find_parking | Find free parking. | spaces 2-80, hourly_price 0.5-8.0
: near street Address to park near; vehicle? car/van/motorcycle What is parked
> look for parking near {near}[ for a {vehicle}]
renew_permit | Renew the permit of a resident. | valid_until date, fee amount
: permit_id id Number of the permit; months 3-24 For how many months
> renew permit {permit_id} for {months} months
waste_pickup | Say when waste is collected. | next_pickup date
: street street Address of the house; type paper/glass/organic Type of waste
> check when {type} waste is collected at {street}
? the next pickup of {type} waste at {street}
@leisure
buy_cinema_tickets | Buy tickets for the cinema. | order id, row 2-20
: film title Title of the film; seats 2-8 How many seats; showtime? time Start of the film, HH:MM
> buy {seats} cinema tickets for "{film}"[ at {showtime}]
reserve_court | Reserve a court for sports. | court 2-12, price 5.0-60.0
: sport tennis/squash/badminton Which sport; day date Day to play; hour? time When to start
> reserve a {sport} court on {day}[ at {hour}]
walk_dog | Send somebody to walk a dog. | walker person, price 5.0-40.0
: dog_name pet Name of the dog; minutes 15-90 How long
> have the dog {dog_name} taken for a walk of {minutes} minutes
match_score | Score of the last match of a team. | home_goals 2-9, away_goals 2-9
: team team Name of the team
> find out the score in the last match of the {team}
? the score of the {team} in the last match
reserveTable | Reserve a table in a restaurant. | table 2-40, code id
: guest person Name of the guest; arrival time When they come, HH:MM; people? 2-9 How many people
> reserve a table under the name {guest} at {arrival}[ for {people} people]
"""
