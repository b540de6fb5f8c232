/* Photos: choosing and dropping files, their upload, the list, and which photo and face a sculpture is made of. */
$(function () {
    // A face that is narrower than this share of its photo is shown closely, with so much around it.
    const SMALL = 0.1;
    const AROUND = 1.7;

    function FacesculptPhotosViewModel(parameters) {
        const self = this;
        const shared = (self.shared = parameters[0]);
        const texts = (self.texts = shared.texts);
        self.deleted = parameters[1];

        self.loaded = ko.observable(false);
        self.uploads = ko.observableArray([]);
        self.dragging = ko.observable(false);
        self.selected = ko.observable();
        self.face = ko.observable(0);

        const list = shared.keyedList((data) => new Photo(data), shared.newestFirst);
        self.photos = list.entries;
        self.find = list.find;

        function Photo(data) {
            const photo = this;
            photo.data = data;
            photo.name = ko.pureComputed(() => data().name);
            photo.state = ko.pureComputed(() => data().state);
            photo.stateText = ko.pureComputed(() => texts.photoState(data().state));
            photo.image = ko.pureComputed(() => (data().url || {}).image);
            photo.usable = ko.pureComputed(() => data().state === "ready" && (data().faces || []).length > 0);
            photo.error = ko.pureComputed(() => data().error && shared.errors.ofError(data().error));
            photo.notes = ko.pureComputed(() =>
                (data().notes || [])
                    .filter((note) => note.code !== "several_faces")
                    .map((note) => ({severity: note.severity, text: texts.ofNote(note)}))
            );
            // What must stay in sight when the picture is cut to a frame: the middle of a face.
            photo.focus = (index) => {
                const {width, height, faces} = data();
                const face = (faces || [])[index || 0];
                if (!face) return "50% 50%";
                const x = texts.percent((face.left + face.width / 2) / width);
                const y = texts.percent((face.top + face.height / 2) / height);
                return x + "% " + y + "%";
            };
            photo.selected = ko.pureComputed(() => self.selected() === photo);
            // Boxes in per cent of the picture, so that they stay in place at every size of the page.
            photo.faces = ko.pureComputed(() => {
                const {width, height, faces} = data();
                return (faces || []).map((face, index) => ({
                    index: index,
                    label: _.sprintf(gettext("Face %(number)d of %(count)d"), {number: index + 1, count: faces.length}),
                    left: (100 * face.left) / width + "%",
                    top: (100 * face.top) / height + "%",
                    width: (100 * face.width) / width + "%",
                    height: (100 * face.height) / height + "%",
                    closely: closely(face)
                }));
            });
            // A square around a face that fills whatever it is shown in.
            const closely = (face) => {
                const {width, height} = data();
                const side = Math.min(AROUND * Math.max(face.width, face.height), width, height);
                const place = (start, size, whole) => {
                    const left = Math.min(Math.max(start + size / 2 - side / 2, 0), whole - side);
                    return whole > side ? (100 * left) / (whole - side) + "%" : "0%";
                };
                return {
                    backgroundImage: "url('" + photo.image() + "')",
                    backgroundSize: (100 * width) / side + "% " + (100 * height) / side + "%",
                    backgroundPosition: place(face.left, face.width, width) + " " + place(face.top, face.height, height)
                };
            };
        }

        self.several = ko.pureComputed(() => {
            const photo = self.selected();
            return photo ? photo.faces().length > 1 : false;
        });

        // In a group the boxes are too small to see who is in them.
        self.crowded = ko.pureComputed(() => {
            const photo = self.selected();
            const {width, faces} = photo ? photo.data() : {};
            return self.several() && faces.some((face) => face.width < SMALL * width);
        });

        self.limitText = ko.pureComputed(() =>
            _.sprintf(gettext("JPEG, PNG, HEIC, WebP or TIFF, up to %(size)s each."), {
                size: texts.megabytes(shared.photoBytes())
            })
        );

        self.select = (photo) => {
            self.face(0);
            self.selected(photo);
        };

        self.chooseFace = (face) => self.face(face.index);

        //~~ Upload

        self.browse = () => $("#facesculpt_photo_files").trigger("click");

        self.filesChosen = (model, event) => {
            self.upload(event.target.files);
            event.target.value = "";
        };

        self.upload = (files) => {
            Array.from(files).reduce(
                (before, file, index) => before.then(() => self._uploadOne(file, index === 0)),
                $.when()
            );
        };

        // One after the other: a small server reads one large picture at a time. Resolves whatever becomes of the file.
        self._uploadOne = (file, selects) => {
            const tooLarge = file.size > shared.photoBytes();
            const upload = {
                name: file.name,
                file: file,
                mayRetry: !tooLarge,
                percent: ko.observable(0),
                error: ko.observable()
            };
            self.uploads.push(upload);
            if (tooLarge) {
                upload.error({
                    message: _.sprintf(gettext("The file has %(size)s, which is more than %(limit)s."), {
                        size: texts.megabytes(file.size),
                        limit: texts.megabytes(shared.photoBytes())
                    }),
                    hint: gettext("Save a smaller copy of the picture and use that.")
                });
                return $.when();
            }
            const finished = $.Deferred();
            OctoPrint.plugins.facesculpt
                .uploadPhoto(file)
                .progress((fraction) => upload.percent(texts.percent(fraction)))
                .done((photo) => {
                    self.uploads.remove(upload);
                    self._put(photo);
                    if (selects) self.select(list.find(photo.id));
                    shared.announce(_.sprintf(gettext("%(name)s was uploaded."), {name: file.name}));
                })
                .fail((request) => upload.error(shared.errors.ofRequest(request)))
                .always(finished.resolve);
            return finished.promise();
        };

        self.retryUpload = (upload) => {
            self.dismissUpload(upload);
            self.upload([upload.file]);
        };

        self.dismissUpload = (upload) => {
            self.uploads.remove(upload);
            document.getElementById("facesculpt_photos").focus();
        };

        /** Gives a photo the keyboard. */
        self.focus = (id) => $("#facesculpt_photos [data-photo=" + id + "] .facesculpt-photo").trigger("focus");

        //~~ Drag and drop

        // OctoPrint covers the page with its own drop target for G-code as soon as a file is dragged over it. While this
        // tab is open, pictures belong to us: we catch the event before it reaches OctoPrint's handler on the document.
        const pane = () => document.getElementById("tab_plugin_facesculpt");
        const isOpen = () => pane() && pane().classList.contains("active") && shared.mayCreate();
        const isOurs = (event) => {
            const items = Array.from((event.dataTransfer || {}).items || []).filter((item) => item.kind === "file");
            const inside = event.target instanceof Node && pane().contains(event.target);
            return items.some((item) => item.type.startsWith("image/") || (inside && item.type === ""));
        };
        const catchDrag = (event) => {
            if (!isOpen() || !isOurs(event)) return;
            event.preventDefault();
            event.stopPropagation();
            event.dataTransfer.dropEffect = "copy";
            self.dragging(true);
        };
        self.onStartup = () => {
            document.addEventListener("dragenter", catchDrag, true);
            document.addEventListener("dragover", catchDrag, true);
            document.addEventListener(
                "dragleave",
                (event) => {
                    if (event.relatedTarget === null) self.dragging(false);
                },
                true
            );
            document.addEventListener(
                "drop",
                (event) => {
                    if (!self.dragging()) return;
                    self.dragging(false);
                    event.preventDefault();
                    event.stopPropagation();
                    self.upload(event.dataTransfer.files);
                },
                true
            );
        };

        //~~ Deleting

        self.remove = (photo) => self.deleted.remove("photos", photo).done(() => self._remove(photo.id));

        self._remove = (id) => {
            if (self.selected() && self.selected().id === id) self.selected(undefined);
            list.remove(id);
        };

        //~~ Following the server

        self._put = (photo) => {
            const before = list.find(photo.id);
            const wasChecking = !before || before.state() === "checking";
            list.put(photo);
            if (wasChecking && photo.state === "ready")
                shared.announce(_.sprintf(gettext("%(name)s can be used."), {name: photo.name}));
            if (photo.state !== "failed") return;
            if (self.selected() && self.selected().id === photo.id) self.selected(undefined);
            if (wasChecking && photo.error)
                shared.announce(photo.name + ": " + shared.errors.ofError(photo.error).message);
        };

        self.refresh = () => {
            if (!shared.mayView()) {
                self.selected(undefined);
                return list.replace([]);
            }
            return list.fetch(() => OctoPrint.plugins.facesculpt.photos()).done(() => {
                self.loaded(true);
                if (self.selected() && !list.find(self.selected().id)) self.selected(undefined);
            });
        };

        shared.follow(self, {photo: self._put, photos: () => self.refresh()});
    }

    OCTOPRINT_VIEWMODELS.push({
        construct: FacesculptPhotosViewModel,
        dependencies: ["facesculptViewModel", "facesculptDeletedViewModel"],
        elements: ["#facesculpt_photos"]
    });
});
