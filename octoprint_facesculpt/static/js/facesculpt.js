$(function () {
    "use strict";

    var STAGES = {
        reconstruct: gettext("Reconstruct the head"),
        sculpt: gettext("Make the bust"),
        slice: gettext("Slice")
    };
    var STATES = {
        waiting: gettext("Waiting"),
        working: gettext("In the making"),
        running: gettext("Running"),
        ready: gettext("Ready"),
        done: gettext("Done"),
        failed: gettext("Failed"),
        cancelled: gettext("Cancelled"),
        checking: gettext("Being looked at"),
        queued: gettext("Queued"),
        printing: gettext("Printing"),
        paused: gettext("Paused")
    };
    var NOTES = {
        low_resolution: gettext("The face is small in the picture; fine details are guessed."),
        profile_view: gettext("The face is seen from the side; its far half is guessed."),
        turned: gettext("The face is turned; one side is seen better than the other."),
        blurred: gettext("The face is blurred."),
        dark: gettext("The face is very dark."),
        overexposed: gettext("Parts of the face are blown out to white."),
        low_contrast: gettext("The face has little contrast."),
        cropped: gettext("The picture cuts off part of the face."),
        occluded: gettext("Part of the face may be covered."),
        several_faces: gettext("There are several faces; choose the person you mean.")
    };
    var ERRORS = {
        no_face: gettext("No face was found. Use a photo in which the face is well lit and not covered."),
        face_too_small: gettext("The face is too small. Use a larger scan or a closer photo."),
        unreadable_image: gettext("The picture is damaged. Open it in a picture editor and save it again."),
        unsupported_format: gettext("This is not a picture that can be read. Use JPEG, PNG, HEIC, WebP or TIFF."),
        image_too_large: gettext("The picture is too large. Save a smaller copy and use that."),
        asset_missing: gettext("The model files are missing. Fetch them first, then try again."),
        engine_missing: gettext("PrusaSlicer is not installed. Install it with: sudo apt install prusa-slicer"),
        too_large: gettext("The bust does not fit into the printer. Choose a smaller height."),
        timed_out: gettext("It took too long. Try again, or choose a coarser profile."),
        disk_full: gettext("The disk is nearly full. Delete some files and try again."),
        not_ready: gettext("The printer is not connected or not ready."),
        busy: gettext("The printer is busy."),
        file_missing: gettext("The G-code file was deleted. Make the sculpture again.")
    };

    function explain(error) {
        if (!error) return "";
        return ERRORS[error.code] || [error.message, error.hint].join(" ");
    }

    function Photo(data, parent) {
        var self = this;
        self.id = data.id;
        self.name = ko.observable();
        self.state = ko.observable();
        self.image = ko.observable();
        self.faces = ko.observableArray([]);
        self.face = ko.observable(0);
        self.notes = ko.observableArray([]);
        self.error = ko.observable("");
        self.update = function (data) {
            self.name(data.name);
            self.state(data.state);
            self.image(data.url.image);
            self.notes(
                data.notes.map(function (note) {
                    return NOTES[note.code] || note.message;
                })
            );
            self.faces(
                data.faces.map(function (box, index) {
                    var percent = function (value, whole) {
                        return (100 * value) / whole + "%";
                    };
                    return {
                        index: index,
                        label: _.sprintf(gettext("Face %(number)d"), {number: index + 1}),
                        style: {
                            left: percent(box.left, data.width),
                            top: percent(box.top, data.height),
                            width: percent(box.width, data.width),
                            height: percent(box.height, data.height)
                        }
                    };
                })
            );
            self.error(explain(data.error));
        };
        self.stateText = ko.pureComputed(function () {
            return STATES[self.state()] || self.state();
        });
        self.selected = ko.pureComputed(function () {
            return parent.photo() === self;
        });
        self.update(data);
    }

    function Sculpture(data, parent) {
        var self = this;
        self.id = data.id;
        self.data = ko.observable(data);
        self.update = self.data;
        self.showing = ko.observable(false);
        self.stages = ko.pureComputed(function () {
            return self.data().stages.map(function (stage) {
                return {
                    name: STAGES[stage.stage],
                    state: stage.state,
                    text: STATES[stage.state],
                    percent: Math.round(100 * stage.progress) + "%",
                    seconds: stage.seconds ? _.sprintf(gettext("%(seconds).0f s"), {seconds: stage.seconds}) : ""
                };
            });
        });
        self.working = ko.pureComputed(function () {
            return self.data().state === "waiting" || self.data().state === "working";
        });
        self.stopped = ko.pureComputed(function () {
            return self.data().state === "failed" || self.data().state === "cancelled";
        });
        self.ready = ko.pureComputed(function () {
            return self.data().state === "ready" && !!self.data().gcode;
        });
        self.error = ko.pureComputed(function () {
            return explain(self.data().error);
        });
        self.views = ko.pureComputed(function () {
            var files = self.data().files;
            var titles = {
                front: gettext("from the front"),
                three_quarter: gettext("in three-quarter view"),
                profile: gettext("in profile")
            };
            return _.keys(titles)
                .filter(function (name) {
                    return files[name];
                })
                .map(function (name) {
                    return {url: files[name], alt: self.data().name + " " + titles[name]};
                });
        });
        self.estimates = ko.pureComputed(function () {
            var plan = self.data().estimates;
            if (!plan) return "";
            return _.sprintf(gettext("%(time)s, %(grams).0f g, %(metres).1f m of filament, %(layers)d layers"), {
                time: formatDuration(plan.seconds),
                grams: plan.filament_g,
                metres: plan.filament_mm / 1000,
                layers: plan.layers
            });
        });
        self.photoImage = ko.pureComputed(function () {
            var photo = parent.findPhoto(self.data().photo);
            return photo ? photo.image() : null;
        });
    }

    function FaceSculptViewModel(parameters) {
        var self = this;
        self.loginState = parameters[0];
        self.access = parameters[1];
        self.settings = parameters[2];
        self.client = OctoPrint.plugins.facesculpt;

        self.status = ko.observable(null);
        self.photos = ko.observableArray([]);
        self.sculptures = ko.observableArray([]);
        self.queue = ko.observableArray([]);
        self.profiles = ko.observableArray([]);
        self.photo = ko.observable(null);
        self.name = ko.observable("");
        self.height = ko.observable(160);
        self.style = ko.observable("bust");
        self.profile = ko.observable();
        self.uploading = ko.observable(0);
        self.dragging = ko.observable(false);
        self.fetching = ko.observable(null);
        self.confirming = ko.observable(null);
        self.bedClear = ko.observable(false);

        function may(key) {
            return ko.pureComputed(function () {
                return self.loginState.hasPermission(self.access.permissions["PLUGIN_FACESCULPT_" + key]);
            });
        }
        self.mayView = may("VIEW");
        self.mayCreate = may("CREATE");
        self.mayPrint = may("PRINT");
        self.mayAdmin = may("ADMIN");

        self.assetsMissing = ko.pureComputed(function () {
            return !!self.status() && _.some(self.status().assets, {present: false});
        });
        self.slicerMissing = ko.pureComputed(function () {
            return !!self.status() && !self.status().slicer.found;
        });
        self.printerReady = ko.pureComputed(function () {
            return !!self.status() && self.status().printer.ready;
        });
        self.heightValid = ko.pureComputed(function () {
            var value = Number(self.height());
            return value >= 20 && value <= 400;
        });
        self.canCreate = ko.pureComputed(function () {
            return self.mayCreate() && self.photo() && self.photo().state() === "ready" && self.heightValid();
        });
        self.running = ko.pureComputed(function () {
            return _.find(self.queue(), function (item) {
                return item.state === "printing" || item.state === "paused";
            });
        });
        self.waiting = ko.pureComputed(function () {
            return _.filter(self.queue(), {state: "queued"});
        });
        self.ended = ko.pureComputed(function () {
            return _.filter(self.queue(), function (item) {
                return _.contains(["done", "failed", "cancelled"], item.state);
            });
        });
        self.percent = function (fraction) {
            return Math.floor(100 * (fraction || 0)) + "%";
        };
        self.duration = function (seconds) {
            return seconds === null || seconds === undefined ? gettext("unknown") : formatDuration(seconds);
        };
        self.stateText = function (state) {
            return STATES[state] || state;
        };
        self.findPhoto = function (id) {
            return _.find(self.photos(), {id: id});
        };

        function report(xhr) {
            var error = xhr.responseJSON && xhr.responseJSON.error;
            new PNotify({
                title: gettext("That did not work"),
                text: _.escape(explain(error && error.code ? error : {message: gettext("The server did not answer.")})),
                type: "error"
            });
        }

        function place(list, type, data) {
            var found = _.find(list(), {id: data.id});
            if (found) {
                found.update(data);
            } else {
                list.unshift(new type(data, self));
            }
            return found || list()[0];
        }

        function replace(list, type, rows) {
            var ids = _.pluck(rows, "id");
            list.remove(function (item) {
                return !_.contains(ids, item.id);
            });
            rows.slice()
                .reverse()
                .forEach(function (row) {
                    place(list, type, row);
                });
        }

        self.refresh = function () {
            if (!self.mayView()) return;
            self.client.get("status").done(self.status);
            self.client.get("photos").done(function (answer) {
                replace(self.photos, Photo, answer.photos);
            });
            self.client.get("sculptures").done(function (answer) {
                replace(self.sculptures, Sculpture, answer.sculptures);
            });
            self.refreshQueue();
        };
        self.refreshQueue = function () {
            self.client.get("queue").done(function (answer) {
                self.queue(answer.queue);
            });
        };

        self.upload = function (files) {
            var limit = self.status() ? self.status().limits.photo_bytes : 0;
            _.each(files, function (file) {
                if (limit && file.size > limit) {
                    new PNotify({
                        title: gettext("This photo is too large"),
                        text: _.escape(
                            _.sprintf(gettext("%(name)s has %(size).0f MB; %(limit).0f MB are possible."), {
                                name: file.name,
                                size: file.size / 1048576,
                                limit: limit / 1048576
                            })
                        ),
                        type: "error"
                    });
                    return;
                }
                var form = new FormData();
                form.append("photo", file, file.name);
                self.uploading(self.uploading() + 1);
                OctoPrint.ajax("POST", "plugin/facesculpt/photos", {
                    data: form,
                    processData: false,
                    contentType: false
                })
                    .done(function (answer) {
                        self.select(place(self.photos, Photo, answer.photo));
                    })
                    .fail(report)
                    .always(function () {
                        self.uploading(self.uploading() - 1);
                    });
            });
        };
        self.chosen = function (_model, event) {
            self.upload(event.target.files);
            event.target.value = "";
        };
        self.dragOver = function (_model, event) {
            self.dragging(true);
            event.originalEvent.dataTransfer.dropEffect = "copy";
            event.stopPropagation();
            return false;
        };
        self.dragLeave = function () {
            self.dragging(false);
        };
        self.dropped = function (_model, event) {
            self.dragging(false);
            // OctoPrint's own drop zone must not take the photo for a model.
            event.stopPropagation();
            self.upload(event.originalEvent.dataTransfer.files);
            return false;
        };

        self.select = function (photo) {
            self.photo(photo);
            self.name(photo.name().replace(/\.[^.]*$/, ""));
        };
        self.chooseFace = function (face) {
            self.photo().face(face.index);
        };
        self.create = function () {
            if (!self.canCreate()) return;
            self.client
                .post("sculptures", {
                    photo: self.photo().id,
                    face: self.photo().face(),
                    name: self.name() || gettext("Sculpture"),
                    settings: {height_mm: Number(self.height()), style: self.style()},
                    slicing: {engine: "prusaslicer", profile: self.profile()}
                })
                .done(function (answer) {
                    place(self.sculptures, Sculpture, answer.sculpture);
                })
                .fail(report);
        };
        self.cancel = function (sculpture) {
            self.client.post("sculptures/" + sculpture.id + "/cancel").fail(report);
        };
        self.retry = function (sculpture) {
            self.client.post("sculptures/" + sculpture.id + "/retry").fail(report);
        };
        self.toggleView = function (sculpture) {
            sculpture.showing(!sculpture.showing());
        };
        self.removeSculpture = function (sculpture) {
            showConfirmationDialog({
                message: _.sprintf(gettext("The sculpture %(name)s and its files will be deleted."), {
                    name: _.escape(sculpture.data().name)
                }),
                onproceed: function () {
                    self.client
                        .remove("sculptures/" + sculpture.id)
                        .done(function () {
                            self.sculptures.remove(sculpture);
                        })
                        .fail(report);
                }
            });
        };
        self.removePhoto = function (photo) {
            showConfirmationDialog({
                message: gettext("The photo and all sculptures made from it will be deleted."),
                onproceed: function () {
                    self.client
                        .remove("photos/" + photo.id)
                        .done(function () {
                            if (self.photo() === photo) self.photo(null);
                            self.refresh();
                        })
                        .fail(report);
                }
            });
        };

        self.enqueue = function (sculpture) {
            self.client.post("queue", {sculpture: sculpture.id}).done(self.refreshQueue).fail(report);
        };
        self.ask = function (start) {
            self.bedClear(false);
            self.confirming(start);
            $("#facesculpt_print_dialog").modal("show");
        };
        self.printSculpture = function (sculpture) {
            self.ask(function () {
                return self.client.post("queue", {sculpture: sculpture.id, print: true, bed_clear: true});
            });
        };
        self.printItem = function (item) {
            self.ask(function () {
                return self.client.post("queue/" + item.id + "/print", {bed_clear: true});
            });
        };
        self.confirmPrint = function () {
            $("#facesculpt_print_dialog").modal("hide");
            self.confirming()().done(self.refreshQueue).fail(report);
        };
        self.moveUp = function (item) {
            self.move(item, item.position - 1);
        };
        self.moveDown = function (item) {
            self.move(item, item.position + 1);
        };
        self.move = function (item, position) {
            self.client
                .post("queue/" + item.id + "/move", {position: Math.max(0, position)})
                .done(self.refreshQueue)
                .fail(report);
        };
        self.dequeue = function (item) {
            self.client
                .remove("queue/" + item.id)
                .done(self.refreshQueue)
                .fail(report);
        };
        self.fetchAssets = function () {
            self.fetching(0);
            self.client.post("assets/fetch").fail(function (xhr) {
                self.fetching(null);
                report(xhr);
            });
        };

        self.onDataUpdaterPluginMessage = function (plugin, message) {
            if (plugin !== "facesculpt") return;
            if (message.type === "photo") {
                place(self.photos, Photo, message.data);
            } else if (message.type === "sculpture") {
                place(self.sculptures, Sculpture, message.data);
            } else if (message.type === "queue") {
                self.queue(message.data);
            } else if (message.type === "assets") {
                self.fetching(message.data.done ? null : message.data.fraction);
                if (message.data.error) report({responseJSON: {error: message.data.error}});
                if (message.data.done) self.refresh();
            } else {
                self.refresh();
            }
        };
        var told = 0;
        self.fromCurrentData = function (data) {
            if (self.status() && self.status().printer.ready !== data.state.flags.ready) {
                self.client.get("status").done(self.status);
            }
            if (self.running() && data.progress && Date.now() - told > 900) {
                told = Date.now();
                self.queue(
                    self.queue().map(function (item) {
                        return item === self.running()
                            ? _.extend({}, item, {
                                  progress: (data.progress.completion || 0) / 100,
                                  print_seconds: data.progress.printTime,
                                  print_seconds_left: data.progress.printTimeLeft
                              })
                            : item;
                    })
                );
            }
        };
        self.onStartupComplete = function () {
            self.client.get("slicing/profiles").done(function (answer) {
                self.profiles(answer.profiles);
                self.profile(answer.default);
            });
            self.client.get("status").done(function (status) {
                self.height(status.defaults.height_mm);
            });
        };
        self.onUserPermissionsChanged = self.onUserLoggedIn = self.onDataUpdaterReconnect = self.refresh;
        self.onTabChange = function (current) {
            if (current === "#tab_plugin_facesculpt") {
                self.refresh();
            } else {
                // A 3-D view nobody sees must not keep the graphics card busy.
                _.each(self.sculptures(), function (sculpture) {
                    sculpture.showing(false);
                });
            }
        };
    }

    OCTOPRINT_VIEWMODELS.push({
        construct: FaceSculptViewModel,
        dependencies: ["loginStateViewModel", "accessViewModel", "settingsViewModel"],
        elements: ["#tab_plugin_facesculpt", "#wizard_plugin_facesculpt"]
    });
});
